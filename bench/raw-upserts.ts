/**
 * Worker: the same rows as the gateway writes for simulated clusters, by multi-row upserts and nothing else. Making the
 * rows is not counted.
 */

import { createHash } from 'node:crypto';
import { createPool } from 'mysql2/promise';
import { Pool } from 'pg';
import { readKubernetesObject } from '../src/gateway/caching/kubernetes-object.js';
import { simulatedAccount } from '../src/simulate/agents.js';
import { simulatedScopes } from '../src/simulate/cluster.js';
import { simulatedCluster } from '../src/simulate/clusters.js';
import { answerCalls } from './child.js';

export interface RawUpsertsOptions {
  readonly url: string;
  readonly agents: number;
  readonly objects: number;
  readonly objectBytes: number;
}

type Row = (string | number | Buffer | null)[];

const rowsPerStatement = 500;
const connections = 4;

const objectColumns = 'id, agent, kind, account, application, namespace, last_updated, generation, body';
const relationColumns = 'uuid, id, rel_id, rel_type, rel_agent, account, last_updated';
const overwritten = objectColumns.split(', ').slice(1);

/** What writes the statements, and how they are worded. */
interface Dialect {
  readonly place: (position: number) => string;
  readonly objectTail: string;
  readonly relationTail: string;
  /** As bytes, MySQL gets it in hexadecimal, which is faster than text that has to be escaped. */
  readonly body: (json: Uint8Array) => string | Buffer;
  readonly open: (url: string) => Writer;
}

interface Writer {
  readonly query: (statement: Statement) => Promise<unknown>;
  readonly end: () => Promise<void>;
}

const mysql: Dialect = {
  place: () => '?',
  objectTail: `on duplicate key update ${overwritten.map((name) => `${name} = values(${name})`).join(', ')}`,
  relationTail: 'on duplicate key update uuid = kubesvc_cache_rel.uuid',
  body: (json) => Buffer.from(json),
  open: (url) => {
    const pool = createPool({ uri: url, connectionLimit: connections });
    return { query: ({ text, values }) => pool.query(text, values), end: () => pool.end() };
  },
};

const postgres: Dialect = {
  place: (position) => `$${position}`,
  objectTail: `on conflict (id) do update set ${overwritten.map((name) => `${name} = excluded.${name}`).join(', ')}`,
  relationTail: 'on conflict (uuid) do nothing',
  body: (json) => Buffer.from(json).toString(),
  open: (url) => {
    const pool = new Pool({ connectionString: url, max: connections });
    // Prepared: each connection parses a full statement once.
    const query = ({ name, text, values }: Statement): Promise<unknown> =>
      pool.query(name === undefined ? { text, values } : { name, text, values });
    return { query, end: () => pool.end() };
  },
};

answerCalls({
  /** @returns objects per second */
  upsert: async (options: RawUpsertsOptions) => {
    const dialect = options.url.startsWith('mysql:') ? mysql : postgres;
    const writer = dialect.open(options.url);
    // As the rows of the gateway arrive: of all agents at the same time, each agent's in the order of its lists.
    const statements = interleaved(
      Array.from({ length: options.agents }, (_, agent) => statementsOf(agent, options, dialect)),
    );
    const startedAt = performance.now();
    let next = 0;
    const write = async (): Promise<void> => {
      for (let each = statements[next++]; each !== undefined; each = statements[next++]) {
        await writer.query(each);
      }
    };
    await Promise.all(Array.from({ length: connections }, write));
    const seconds = (performance.now() - startedAt) / 1_000;
    await writer.end();
    return (options.agents * options.objects) / seconds;
  },
});

interface Statement {
  /** Of a full one, which has the same text each time. */
  readonly name: string | undefined;
  readonly text: string;
  readonly values: Row;
}

/** An agent's statements: some objects, then their relations, and so on. */
function statementsOf(agent: number, options: RawUpsertsOptions, dialect: Dialect): Statement[] {
  const account = simulatedAccount(agent, 0);
  const cluster = simulatedCluster(options, account);
  const now = Date.now();
  const statements: Statement[] = [];
  let objects: Row[] = [];
  let relations: Row[] = [];
  const flush = (): void => {
    statements.push(...upserts('kubesvc_cache', objectColumns, dialect.objectTail, objects, dialect));
    statements.push(...upserts('kubesvc_cache_rel', relationColumns, dialect.relationTail, relations, dialect));
    [objects, relations] = [[], []];
  };
  for (const scope of simulatedScopes) {
    for (const bytes of cluster.list(scope)) {
      const object = readKubernetesObject({ ...scope, account }, bytes);
      const { id, kind, namespace, application = null } = object;
      objects.push([id, 'agent', kind, account, application, namespace, now, 1, dialect.body(object.body)]);
      for (const relation of object.relations) {
        const uuid = createHash('sha256').update(`${id}\n${relation.type}\n${relation.id}`).digest('base64url');
        relations.push([uuid, id, relation.id, relation.type, 'agent', account, now]);
      }
      if (objects.length === rowsPerStatement) flush();
    }
    flush();
  }
  return statements;
}

function upserts(table: string, columns: string, tail: string, rows: readonly Row[], { place }: Dialect): Statement[] {
  const statements: Statement[] = [];
  for (let start = 0; start < rows.length; start += rowsPerStatement) {
    const some = rows.slice(start, start + rowsPerStatement);
    let position = 0;
    const places = some.map((row) => `(${row.map(() => place((position += 1))).join(',')})`).join(',');
    const text = `insert into ${table} (${columns}) values ${places} ${tail}`;
    const name = some.length === rowsPerStatement ? table : undefined;
    statements.push({ name, text, values: some.flat() });
  }
  return statements;
}

function interleaved<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(...lists.map((list) => list.length));
  const turns = Array.from({ length: longest }, (_, turn) => lists.map((list) => list[turn]));
  return turns.flat().filter((each) => each !== undefined);
}
