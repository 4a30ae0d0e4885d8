/** What SQL, Redis and every replica say once everything is healed and at rest. */

import { Redis } from 'ioredis';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { decodeValue } from '../../src/store/mirror/wire.js';
import { ownFieldPrefix } from '../../src/store/mirror/scripts.js';

export interface AssignmentState {
  readonly agentId: string;
  readonly instanceId: string;
  readonly epoch: number;
  readonly processId?: string;
  readonly caching: boolean;
}

export interface AccountState {
  readonly account: string;
  readonly version: number;
  readonly assignments: readonly AssignmentState[];
}

export interface ReplicaState {
  readonly id: string;
  /** What GET /armory/agents says: agent to the instance that holds it. */
  readonly agents: Readonly<Record<string, string>>;
  readonly mirrorLive: boolean;
  readonly mirrorAccounts: number;
  /** Requests of the Kubernetes API under way. */
  readonly apiRequestsOpen?: number;
  /** Operations at rest that it sent to an instance that was not the owner; absent: none was sent. */
  readonly notOwner?: number;
  /** Accounts that could not be reached through it at rest, and why. */
  readonly unreachable?: readonly string[];
}

export interface FinalState {
  /** Ids in kubesvc_ops. */
  readonly pending: readonly string[];
  /** Rows of kubesvc_ops_history. */
  readonly ended: readonly { readonly id: string; readonly outcome: string | null }[];
  readonly sql: readonly AccountState[];
  /** The mirror in Redis. */
  readonly redis: readonly AccountState[];
  readonly replicas: readonly ReplicaState[];
}

export interface StateSources {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly redisPrefix: string;
  readonly replicas: readonly { readonly id: string; readonly restUrl: string }[];
}

export async function readFinalState(sources: StateSources): Promise<FinalState> {
  const [database, redis, replicas] = await Promise.all([
    readDatabase(sources.databaseUrl),
    readRedis(sources.redisUrl, sources.redisPrefix),
    Promise.all(sources.replicas.map(readReplica)),
  ]);
  return { ...database, redis, replicas };
}

/** Ids of operations that have no outcome yet. */
export async function pendingOperations(databaseUrl: string): Promise<string[]> {
  const connection = await createConnection({ uri: databaseUrl, connectTimeout: 5_000 });
  try {
    const [rows] = await connection.query<RowDataPacket[]>('select id from kubesvc_ops');
    return rows.map((row) => String(row['id']));
  } finally {
    await connection.end();
  }
}

async function readDatabase(url: string): Promise<Pick<FinalState, 'pending' | 'ended' | 'sql'>> {
  const connection = await createConnection({ uri: url, connectTimeout: 5_000 });
  const query = async (sql: string): Promise<RowDataPacket[]> => (await connection.query<RowDataPacket[]>(sql))[0];
  try {
    const pending = await query('select id from kubesvc_ops');
    const ended = await query('select operation_id, final_outcome from kubesvc_ops_history');
    const rows = await query(
      `select a.name, a.assignments_version, s.agent_id, s.cd_id, s.epoch, s.process_id, s.caching
       from kubesvc_accounts a left join kubesvc_assignments s on s.account_name = a.name order by a.name, s.agent_id`,
    );
    const accounts = new Map<string, { account: string; version: number; assignments: AssignmentState[] }>();
    for (const row of rows) {
      const account = String(row['name']);
      const entry = accounts.get(account) ?? { account, version: Number(row['assignments_version']), assignments: [] };
      accounts.set(account, entry);
      if (row['agent_id'] === null) continue;
      entry.assignments.push({
        agentId: String(row['agent_id']),
        instanceId: String(row['cd_id']),
        epoch: Number(row['epoch']),
        ...(row['process_id'] === '' ? {} : { processId: String(row['process_id']) }),
        caching: Boolean(row['caching']),
      });
    }
    return {
      pending: pending.map((row) => String(row['id'])),
      ended: ended.map((row) => ({
        id: String(row['operation_id']),
        outcome: row['final_outcome'] === null ? null : String(row['final_outcome']),
      })),
      sql: [...accounts.values()],
    };
  } finally {
    await connection.end();
  }
}

async function readRedis(url: string, prefix: string): Promise<AccountState[]> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, commandTimeout: 5_000 });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    const fields = await redis.hgetall(`{${prefix}:ownership}:accounts`);
    return Object.entries(fields)
      .filter(([account]) => !account.startsWith(ownFieldPrefix))
      .flatMap(([account, value]) => decodeValue(account, value) ?? [])
      .sort((a, b) => (a.account < b.account ? -1 : 1));
  } finally {
    redis.disconnect();
  }
}

async function readReplica({ id, restUrl }: { id: string; restUrl: string }): Promise<ReplicaState> {
  const signal = AbortSignal.timeout(10_000);
  const response = await fetch(`${restUrl}/armory/agents`, { signal });
  if (!response.ok) throw new Error(`${id} /armory/agents: ${response.status}`);
  const agents = (await response.json()) as { agentId: string; clouddriverId: string }[];
  const metrics = await readMetrics(restUrl);
  return {
    id,
    agents: Object.fromEntries(agents.map(({ agentId, clouddriverId }) => [agentId, clouddriverId])),
    mirrorLive: metrics('agent_gateway_mirror_live') === 1,
    mirrorAccounts: metrics('agent_gateway_mirror_accounts'),
    apiRequestsOpen: ['request', 'watch', 'upgrade'].reduce(
      (sum, kind) => sum + (metrics(`agent_gateway_kubernetes_requests_open{kind="${kind}"}`) || 0),
      0,
    ),
  };
}

/** The metrics of a replica as a function from name, with labels as they are printed, to value; NaN where absent. */
export async function readMetrics(restUrl: string): Promise<(name: string) => number> {
  const response = await fetch(`${restUrl}/metrics`, { signal: AbortSignal.timeout(10_000) });
  const values = new Map<string, number>();
  for (const line of (await response.text()).split('\n')) {
    const end = line.lastIndexOf(' ');
    if (end > 0 && !line.startsWith('#')) values.set(line.slice(0, end), Number(line.slice(end + 1)));
  }
  return (name) => values.get(name) ?? Number.NaN;
}
