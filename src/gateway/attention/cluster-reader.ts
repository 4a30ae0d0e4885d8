/**
 * What is there and what is not, in the whole cluster, read from the database and the other replicas once for all that ask: the
 * console, `GET /armory/attention`, lists of what is offline, and metrics. Nothing is read while nobody asks.
 */

import { GatewayError } from '../../core/errors.js';
import type { AssignmentStore, ConnectedAgent } from '../../store/assignments/assignments.js';
import type { InstanceRecord } from '../../store/instances/instance-record.js';
import type { InstanceStore } from '../../store/instances/instances.js';
import type { Failures } from '../../store/operations/failures.js';
import type { OperationStore } from '../../store/operations/operations.js';
import type { Offline, PresenceStore } from '../../store/presence/presence.js';
import type { EveryInstance, InstanceAnswer } from '../peers/every-instance.js';
import type { Readiness, ReadinessReport } from '../telemetry/readiness.js';
import { Section } from './section.js';

export interface ClusterReaderOptions {
  readonly assignments: Pick<AssignmentStore, 'list'>;
  readonly presence: Pick<PresenceStore, 'offline'>;
  readonly instances: Pick<InstanceStore, 'live' | 'lost'>;
  readonly operations: Pick<OperationStore, 'failures'>;
  readonly everyInstance: Pick<EveryInstance, 'ask'>;
  readonly readiness: Pick<Readiness, 'report'>;
  readonly leaseMs: number;
  /** Ends readings that are under way. */
  readonly stopping: AbortSignal;
  /** Wall clock, Unix ms. */
  readonly now: () => number;
}

export interface AgentsRead {
  readonly agents: readonly ConnectedAgent[];
  readonly truncated: boolean;
}

export interface InstancesRead {
  readonly live: readonly Omit<InstanceRecord, 'lastHeartbeatTime'>[];
  readonly lost: readonly LostInstance[];
}

export interface LostInstance extends InstanceRecord {
  /** The live instance that has taken its place. */
  readonly replacedBy?: string;
}

/** Period of the readings, in ms, as long as the database needs less than a tenth of it for one. */
export const readPeriodMs = 2_000;
/** Failures and readiness cost more to read than they change. */
const slowPeriodMs = 5_000;
/** Limits the memory to a few tens of MB. */
const maxAssignments = 250_000;
const readinessTimeoutMs = 2_000;

export class ClusterReader {
  readonly agents: Section<AgentsRead>;
  readonly offline: Section<Offline>;
  readonly instances: Section<InstancesRead>;
  readonly failures: Section<Failures>;
  readonly readiness: Section<readonly InstanceAnswer<ReadinessReport>[]>;

  constructor(options: ClusterReaderOptions) {
    const { assignments, presence, operations, instances, leaseMs, stopping, now } = options;
    const section = <Value>(name: string, periodMs: number, read: (signal: AbortSignal) => Promise<Value>) =>
      new Section({ name, read, periodMs: periodMs * 0.9, stopping, now });
    this.agents = section('agents', readPeriodMs, (signal) => readAgents(assignments, signal));
    this.offline = section('agents that are offline', readPeriodMs, (signal) => presence.offline(signal));
    this.instances = section('instances', readPeriodMs, (signal) => readInstances(instances, leaseMs, signal));
    this.failures = section('failures', slowPeriodMs, (signal) => operations.failures(signal));
    this.readiness = section('readiness of the instances', slowPeriodMs, () => readReadiness(options));
  }

  /** Reads what is due. */
  async refresh(): Promise<void> {
    await Promise.all(this.parts.map((part) => part.refresh()));
  }

  get parts(): readonly Section<unknown>[] {
    return [this.agents, this.offline, this.instances, this.failures, this.readiness];
  }
}

async function readAgents(assignments: Pick<AssignmentStore, 'list'>, signal: AbortSignal): Promise<AgentsRead> {
  const agents: ConnectedAgent[] = [];
  let count = 0;
  for await (const agent of assignments.list({}, signal)) {
    count += Math.max(1, agent.accounts.length);
    if (count > maxAssignments) return { agents, truncated: true };
    agents.push(agent);
  }
  return { agents, truncated: false };
}

async function readInstances(
  store: Pick<InstanceStore, 'live' | 'lost'>,
  leaseMs: number,
  signal: AbortSignal,
): Promise<InstancesRead> {
  const live = await store.live(leaseMs, signal);
  const lost = await store.lost(leaseMs, signal);
  return {
    // Without the heartbeats' times, which change all the time.
    live: live.map(({ id, baseUrl, version, agents, firstSeenTime }) => ({
      id,
      baseUrl,
      version,
      agents,
      firstSeenTime,
    })),
    lost: withReplacements(lost, live),
  };
}

/** Kubernetes replaces a pod by one with another name: a new instance takes the place of the one that was lost first. */
export function withReplacements(
  lost: readonly InstanceRecord[],
  live: readonly Pick<InstanceRecord, 'id' | 'firstSeenTime'>[],
): readonly LostInstance[] {
  const arrived = live.toSorted((a, b) => a.firstSeenTime - b.firstSeenTime);
  return lost
    .toSorted((a, b) => a.lastHeartbeatTime - b.lastHeartbeatTime)
    .map((instance) => {
      const index = arrived.findIndex(({ firstSeenTime }) => firstSeenTime > instance.lastHeartbeatTime);
      const [replacement] = index === -1 ? [] : arrived.splice(index, 1);
      return replacement === undefined ? instance : { ...instance, replacedBy: replacement.id };
    });
}

/** `/readyz` of every replica: a database that is full or away is told by those that need it. */
function readReadiness({
  everyInstance,
  readiness,
}: ClusterReaderOptions): Promise<readonly InstanceAnswer<ReadinessReport>[]> {
  return everyInstance.ask(
    { method: 'GET', path: '/readyz', timeoutMs: readinessTimeoutMs },
    () => Promise.resolve(readiness.report()),
    ({ status, body }) => {
      const {
        status: phase,
        since,
        checks,
      } = (body ?? {}) as Partial<Omit<ReadinessReport, 'since'>> & { since?: string };
      if ((status !== 200 && status !== 503) || phase === undefined || checks === undefined)
        throw new GatewayError('owner-unreachable', `it answered ${String(status)}`);
      // An older version does not say since when.
      return { ready: status === 200, status: phase, since: Date.parse(since ?? '') || 0, checks };
    },
  );
}
