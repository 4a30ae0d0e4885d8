/**
 * Worker: the same rows as the gateway writes for simulated clusters, by multi-row upserts and nothing else. Making the
 * rows is not counted.
 */

import { createHash } from 'node:crypto';
import { createPool } from 'mysql2/promise';
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
const objectTail = objectColumns
  .split(', ')
  .slice(1)
  .map((name) => `${name} = values(${name})`)
  .join(', ');
const relationColumns = 'uuid, id, rel_id, rel_type, rel_agent, account, last_updated';

answerCalls({
  /** @returns objects per second */
  upsert: async (options: RawUpsertsOptions) => {
    const pool = createPool({ uri: options.url, connectionLimit: connections });
    // As the rows of the gateway arrive: of all agents at the same time, each agent's in the order of its lists.
    const statements = interleaved(Array.from({ length: options.agents }, (_, agent) => statementsOf(agent, options)));
    const startedAt = performance.now();
    let next = 0;
    const write = async (): Promise<void> => {
      for (let each = statements[next++]; each !== undefined; each = statements[next++]) {
        await pool.query(each.text, each.values);
      }
    };
    await Promise.all(Array.from({ length: connections }, write));
    const seconds = (performance.now() - startedAt) / 1_000;
    await pool.end();
    return (options.agents * options.objects) / seconds;
  },
});

interface Statement {
  readonly text: string;
  readonly values: Row;
}

/** An agent's statements: some objects, then their relations, and so on. */
function statementsOf(agent: number, options: RawUpsertsOptions): Statement[] {
  const account = simulatedAccount(agent, 0);
  const cluster = simulatedCluster(options, account);
  const now = Date.now();
  const statements: Statement[] = [];
  let objects: Row[] = [];
  let relations: Row[] = [];
  const flush = (): void => {
    statements.push(...upserts('kubesvc_cache', objectColumns, objectTail, objects));
    statements.push(...upserts('kubesvc_cache_rel', relationColumns, 'uuid = kubesvc_cache_rel.uuid', relations));
    [objects, relations] = [[], []];
  };
  for (const scope of simulatedScopes) {
    for (const bytes of cluster.list(scope)) {
      const object = readKubernetesObject({ ...scope, account }, bytes);
      const { id, kind, namespace, application = null } = object;
      // As bytes: sent in hexadecimal, which is faster than text that has to be escaped.
      objects.push([id, 'agent', kind, account, application, namespace, now, 1, Buffer.from(object.body)]);
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

function upserts(table: string, columns: string, tail: string, rows: readonly Row[]): Statement[] {
  const statements: Statement[] = [];
  for (let start = 0; start < rows.length; start += rowsPerStatement) {
    const some = rows.slice(start, start + rowsPerStatement);
    const places = some.map((row) => `(${row.map(() => '?').join(',')})`).join(',');
    const text = `insert into ${table} (${columns}) values ${places} on duplicate key update ${tail}`;
    statements.push({ text, values: some.flat() });
  }
  return statements;
}

function interleaved<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(...lists.map((list) => list.length));
  const turns = Array.from({ length: longest }, (_, turn) => lists.map((list) => list[turn]));
  return turns.flat().filter((each) => each !== undefined);
}
