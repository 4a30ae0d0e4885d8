/** Clouddrivers are asked to read their configuration again: once for many changes, by one replica, until they have. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type Test } from 'tap';
import { pino } from 'pino';
import type { ExpiringLocks } from '../../../src/core/lock.js';
import { ConfigRefresh } from '../../../src/gateway/spinnaker/config-refresh.js';
import { waitFor } from '../../wait.js';
import { startConfigClient, type BoundAccount, type ConfigClientDouble } from './config-client-double.js';

const intervalMs = 100;

/** Locks in memory, which do not expire by themselves. */
function memoryLocks() {
  const holders = new Map<string, string>();
  const has = (name: string, holder: string): boolean => holders.get(name) === holder;
  const locks: ExpiringLocks = {
    acquire: async (name, holder) => {
      if (!holders.has(name)) holders.set(name, holder);
      return has(name, holder);
    },
    renew: async (name, holder) => has(name, holder),
    release: async (name, holder) => has(name, holder) && holders.delete(name),
  };
  return { locks, holders };
}

/** What a gateway would answer, in place of one. */
async function configServer(t: Test) {
  let accounts: readonly BoundAccount[] = [{ name: 'a' }];
  const server = createServer((_request, response) => {
    const source = Object.fromEntries(accounts.map(({ name }, index) => [`kubernetes.accounts[${index}].name`, name]));
    response.end(JSON.stringify({ propertySources: [{ source }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => void server.close());
  return {
    uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    version: async () => JSON.stringify(accounts),
    set: (names: readonly string[]) => (accounts = names.map((name) => ({ name }))),
  };
}

interface Line {
  readonly msg: string;
  readonly error?: string;
  readonly clouddriver?: string;
}

/** Replicas that refresh the same Clouddrivers. */
function replicas(t: Test, version: () => Promise<string>, urls: readonly string[], addresses = ['127.0.0.1']) {
  const { locks, holders } = memoryLocks();
  const log: Line[] = [];
  const outcomes = { refreshed: 0, failed: 0 };
  const logger = pino({ level: 'info' }, { write: (line: string) => void log.push(JSON.parse(line) as Line) });
  const start = (instanceId: string) => {
    const stopping = new AbortController();
    const refresh = new ConfigRefresh({
      ...{ instanceId, locks, version, urls, intervalMs, logger },
      resolve: async () => addresses,
      asked: (outcome) => void (outcomes[outcome] += 1),
    });
    const running = refresh.run(stopping.signal);
    const stop = async (): Promise<void> => {
      stopping.abort();
      await running;
    };
    t.teardown(stop);
    return { stop };
  };
  return { start, holders, log, outcomes };
}

const has =
  (clouddriver: ConfigClientDouble, ...names: readonly string[]) =>
  () =>
    JSON.stringify(clouddriver.accounts.map(({ name }) => name)) === JSON.stringify(names);

test('after changes, at most once in the interval, and not without one', async (t) => {
  const server = await configServer(t);
  const clouddriver = await startConfigClient(t, { uri: server.uri });
  const cluster = replicas(t, server.version, [clouddriver.url]);
  cluster.start('one');
  await waitFor(() => clouddriver.refreshes.length === 1, {
    description: 'the first, because nobody knows what it has',
  });
  for (let change = 0; change < 50; change += 1) {
    server.set(['a', `b${change}`]);
    await new Promise(setImmediate);
  }
  await waitFor(has(clouddriver, 'a', 'b49'));
  server.set(['a']);
  await waitFor(has(clouddriver, 'a'));
  const gaps = clouddriver.refreshes.slice(1).map((time, index) => time - (clouddriver.refreshes[index] ?? 0));
  t.ok(
    gaps.every((gap) => gap > intervalMs * 0.5),
    `pauses: ${gaps.join(', ')}`,
  );
  t.ok(clouddriver.refreshes.length <= 5, `${clouddriver.refreshes.length} requests for 51 changes`);
  const count = clouddriver.refreshes.length;
  server.set(['a', 'c']);
  await waitFor(has(clouddriver, 'a', 'c'));
  t.equal(clouddriver.refreshes.length, count + 1, 'nothing was asked without a change');
  await waitFor(() => cluster.outcomes.refreshed === clouddriver.refreshes.length);
});

test('one replica asks, and another one goes on', async (t) => {
  const server = await configServer(t);
  const clouddriver = await startConfigClient(t, { uri: server.uri });
  const cluster = replicas(t, server.version, [clouddriver.url]);
  const one = cluster.start('one');
  await waitFor(() => cluster.holders.get('spinnaker-config-refresh') === 'one');
  await waitFor(() => clouddriver.refreshes.length === 1);
  cluster.start('two');
  server.set(['a', 'b']);
  await waitFor(has(clouddriver, 'a', 'b'));
  t.equal(clouddriver.refreshes.length, 2, 'once, with two replicas');
  await one.stop();
  server.set(['b']);
  await waitFor(has(clouddriver, 'b'));
  t.equal(cluster.holders.get('spinnaker-config-refresh'), 'two');
});

test('a Clouddriver that was away is asked again, and its failure is logged once', async (t) => {
  const server = await configServer(t);
  const away = await startConfigClient(t, { uri: server.uri });
  const other = await startConfigClient(t, { uri: server.uri });
  const cluster = replicas(t, server.version, [away.url, other.url]);
  cluster.start('one');
  await waitFor(() => cluster.outcomes.refreshed === 2);
  away.failing = 503;
  server.set(['a', 'b']);
  await waitFor(has(other, 'a', 'b'));
  await waitFor(() => cluster.outcomes.failed >= 3);
  away.failing = undefined;
  await waitFor(has(away, 'a', 'b'));
  await waitFor(() => cluster.log.some(({ msg }) => msg.includes('refreshed again')));
  const failures = cluster.log.filter(({ msg }) => msg.includes('not refreshed'));
  t.match(failures, [{ error: 'it answered 503 to POST /refresh' }]);
  t.equal(failures.length, 1, `once for ${cluster.outcomes.failed} failures`);
  t.equal(other.refreshes.length, 2, 'the other one was not asked again');
  await away.stop();
  server.set(['c']);
  await waitFor(() => cluster.log.some(({ error }) => error?.includes('ECONNREFUSED')));
  await away.start();
  await waitFor(() => cluster.log.filter(({ msg }) => msg.includes('refreshed again')).length === 2);
  t.ok(has(away, 'c')());
});

test('every address of a name is asked', async (t) => {
  const server = await configServer(t);
  const clouddriver = await startConfigClient(t, { uri: server.uri });
  const url = clouddriver.url.replace('127.0.0.1', 'spin-clouddriver-pods.spinnaker');
  const addresses = ['127.0.0.1'];
  const cluster = replicas(t, server.version, [url], addresses);
  cluster.start('one');
  await waitFor(() => clouddriver.refreshes.length === 1);
  addresses.push('127.0.0.2');
  await waitFor(() => cluster.log.some(({ clouddriver: name }) => name?.endsWith(' 127.0.0.2') === true));
  t.equal(clouddriver.refreshes.length, 1, 'the first one has read it');
});

test("Spring Boot's own path, and an actuator that is not exposed", async (t) => {
  const server = await configServer(t);
  const boot = await startConfigClient(t, { uri: server.uri, refreshPath: '/actuator/refresh' });
  const closed = await startConfigClient(t, { uri: server.uri, refreshPath: '/nowhere' });
  const cluster = replicas(t, server.version, [`${boot.url}/`, closed.url]);
  cluster.start('one');
  await waitFor(() => boot.refreshes.length === 1);
  t.same(boot.asked, ['POST /refresh', 'POST /actuator/refresh']);
  await waitFor(() => cluster.log.length > 0);
  t.match(cluster.log, [
    { error: 'it answered 404 to POST /refresh: expose "refresh" in management.endpoints.web.exposure.include' },
  ]);
});

test('accounts that cannot be read', async (t) => {
  const server = await configServer(t);
  const clouddriver = await startConfigClient(t, { uri: server.uri });
  let broken = true;
  let looks = 0;
  const version = async (): Promise<string> => {
    looks += 1;
    if (broken) throw new Error('no database');
    return server.version();
  };
  const cluster = replicas(t, version, [clouddriver.url]);
  cluster.start('one');
  await waitFor(() => looks >= 3);
  t.match(cluster.log, [{ error: 'no database', msg: /accounts cannot be read/u }]);
  t.equal(cluster.log.length, 1);
  broken = false;
  await waitFor(() => clouddriver.refreshes.length === 1);
});
