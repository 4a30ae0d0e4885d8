/** The agent in Python on two replicas: objects flow in, are resumed or listed anew, and go on while a replica leaves. */

import { createPool, type RowDataPacket } from 'mysql2/promise';
import { test, type Test } from 'tap';
import { createOperationIds } from '../../src/gateway/operations/operation-id.js';
import { startGateway, type RunningGateway } from '../gateway/running-gateway.js';
import { freePort } from '../free-port.js';
import { mariaDbDatabase, redisDatabase } from '../services/databases.js';
import { startTcpProxy } from '../tcp-proxy.js';
import { waitFor } from '../wait.js';
import { PythonAgent, type PythonAgentOptions } from './python-agent.js';

const patience = { timeoutMs: 60_000, intervalMs: 50 };

function object(name: string, { namespace = 'shop', kind = 'Pod', ...more }: Readonly<Record<string, unknown>> = {}) {
  return { apiVersion: 'v1', kind, metadata: { name, namespace }, ...more };
}

class Tables {
  readonly #pool;

  constructor(url: string) {
    this.#pool = createPool({ uri: url, connectionLimit: 1 });
  }

  /** Namespaces and names of what is cached. */
  async names(): Promise<string[]> {
    const [rows] = await this.#pool.query<RowDataPacket[]>('select id from kubesvc_cache order by id');
    return rows.map(({ id }) => String(id).split(':').slice(-2).join('/'));
  }

  async bodies(): Promise<string> {
    const [rows] = await this.#pool.query<RowDataPacket[]>('select body from kubesvc_cache');
    return rows.map(({ body }) => String(body)).join('\n');
  }

  async version(scope: string): Promise<number> {
    const [rows] = await this.#pool.query<RowDataPacket[]>(
      'select resourceversion from kubesvc_resourceversion where ns_group_kind = ?',
      [scope],
    );
    return Number(rows[0]?.['resourceversion']);
  }

  async cached(...names: string[]): Promise<void> {
    let found: string[] = [];
    await waitFor(
      async () => {
        found = await this.names();
        return found.join() === names.join();
      },
      { ...patience, description: `${names.join()} to be cached` },
    ).catch((error: unknown) => {
      throw new Error(`cached is ${found.join()}`, { cause: error });
    });
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

async function startReplicas(t: Test): Promise<{ tables: Tables; replicas: readonly RunningGateway[] }> {
  const [database, redis] = [await mariaDbDatabase(t), await redisDatabase(t)];
  const settings = { 'sql.url': database.url, 'redis.connection': redis.url, 'kubesvc.cluster': 'redis' };
  const replicas: RunningGateway[] = [];
  for (const id of ['replica-0', 'replica-1']) {
    const port = await freePort();
    const own = {
      'instance.id': id,
      'server.address': '127.0.0.1',
      'server.port': port,
      'instance.baseUrl': `http://127.0.0.1:${port}`,
      'kubesvc.cache.cacheKinds': 'Pod,Secret',
      'kubesvc.drain.timeoutMs': 30_000,
      'kubesvc.drain.endpointRemovalMs': 0,
    };
    replicas.push(await startGateway(t, { ...settings, ...own }));
  }
  const tables = new Tables(database.url);
  t.teardown(() => tables.close());
  return { tables, replicas };
}

function start(t: Test, name: string, addresses: readonly string[], options: Partial<PythonAgentOptions> = {}) {
  return PythonAgent.start(t, {
    addresses,
    identity: { agent_id: name, zone_id: 'python_zone', version: '1' },
    accounts: [{ name: 'python', namespaces: ['shop', 'bank'] }],
    ...options,
  });
}

test('objects of an agent in Python', async (t) => {
  const { tables, replicas } = await startReplicas(t);
  const [first, second] = replicas as [RunningGateway, RunningGateway];
  const proxy = await startTcpProxy({ port: first.agentsPort });
  t.teardown(() => proxy.close());
  const agent = start(t, 'first', [`127.0.0.1:${proxy.port}`]);
  const put = (value: object): void => agent.tell({ put: { account: 'python', object: value } });

  await t.test('snapshots, then every change', async (t) => {
    put(object('web-0'));
    put(object('web-1'));
    put(object('other', { namespace: 'elsewhere' }));
    put(object('password', { kind: 'Secret', data: { password: 'aHVudGVyMg==' } }));
    await agent.next({ state: 'active' });
    await agent.said({ snapshot: { kind: 'Pod', namespace: 'shop' } });
    await agent.said({ snapshot: { kind: 'Pod', namespace: 'bank' } });
    await tables.cached('shop/web-0', 'shop/web-1', 'shop/password');
    put(object('web-2'));
    put(object('teller', { namespace: 'bank' }));
    agent.tell({ delete: { account: 'python', kind: 'Pod', namespace: 'shop', name: 'web-0' } });
    await tables.cached('bank/teller', 'shop/web-1', 'shop/web-2', 'shop/password');
    t.notMatch(await tables.bodies(), /hunter2|aHVudGVyMg/u, 'without the data of Secrets');
    t.equal(agent.all({ snapshot: { kind: 'Unheard' } }).length, 0, 'a kind that is not kept is not sent');
  });

  await t.test('after a loss each scope resumes, and one that cannot begins with a snapshot', async (t) => {
    agent.tell({ bookmark: { account: 'python', kind: 'Secret', namespace: 'bank' } });
    await waitFor(async () => (await tables.version('bank__Secret')) > (await tables.version('bank__Pod')), {
      ...patience,
      description: 'a bookmark to move the point to resume from',
    });
    const snapshots = agent.all({ snapshot: {} }).length;
    await proxy.cut();
    await agent.next({ state: 'backing-off' });
    put(object('web-3'));
    await proxy.heal();
    await agent.next({ resumes: { kind: 'Pod', namespace: 'shop' } });
    await tables.cached('bank/teller', 'shop/web-1', 'shop/web-2', 'shop/web-3', 'shop/password');
    t.equal(agent.all({ snapshot: {} }).length, snapshots, 'nothing was listed again');

    await proxy.cut();
    await agent.next({ state: 'backing-off' });
    agent.tell({ delete: { account: 'python', kind: 'Pod', namespace: 'shop', name: 'web-1' } });
    agent.tell({ forget: 'python' });
    await proxy.heal();
    await agent.next({ snapshot: { kind: 'Pod', namespace: 'shop' } });
    await tables.cached('bank/teller', 'shop/web-2', 'shop/web-3', 'shop/password');
  });

  await t.test('one agent caches, and the other takes over when it stops in order', async (t) => {
    const other = start(t, 'second', [second.agentsAddress]);
    await other.next({ state: 'active' });
    agent.tell({ stop: true });
    await agent.next({ state: 'stopped' });
    await agent.said({ ended: 'OK' });
    await other.next({ caches: ['python'] });
    await other.next({ snapshot: { kind: 'Pod', namespace: 'shop' } });
    await tables.cached();
    t.equal(await other.stop(), 0);
  });

  await t.test('a replica that leaves: the agent registers at the other one, and what runs is answered', async (t) => {
    const moving = start(t, 'moving', [first.agentsAddress, second.agentsAddress]);
    const { instance } = await moving.next({ state: 'active' });
    const [left, stays] = instance === 'replica-0' ? [first, second] : [second, first];
    moving.tell({ put: { account: 'python', object: object('web-9') } });
    await tables.cached('shop/web-9');
    const id = createOperationIds()(Date.now());
    moving.tell({ hold: true });
    const answering = stays.operate({ id, account: 'python', get: { object: { kind: 'Pod', name: 'x' } } });
    await moving.next({ executes: id });
    const stopped = left.gateway.stop();
    await moving.next({ state: 'reconnecting', reason: 'REASON_DRAINING' });
    await moving.next({ state: 'active', instance: stays === first ? 'replica-0' : 'replica-1' });
    moving.tell({ hold: false });
    t.match((await answering).body['result'], { operationId: id, status: 404 });
    await stopped;
    t.equal(moving.all({ executes: id }).length, 1);
    await moving.next({ caches: ['python'] });
    moving.tell({ put: { account: 'python', object: object('web-10') } });
    await tables.cached('shop/web-10', 'shop/web-9');
  });
});
