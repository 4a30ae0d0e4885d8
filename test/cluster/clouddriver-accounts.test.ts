/** Agents come, change and go: Clouddriver's double has within 10 s what it should have, whatever is lost meanwhile. */

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { t as root, test, type Test } from 'tap';
import { AgentConnection } from '../../src/agent/connection.js';
import { silentLogger } from '../../src/core/logger.js';
import { fileTimeoutMs } from '../file-timeout.js';
import { CredentialsDouble } from '../gateway/spinnaker/credentials-double.js';
import { mariaDbDatabase } from '../services/databases.js';
import { startTcpProxy } from '../tcp-proxy.js';
import { waitFor } from '../wait.js';
import { startCluster } from './cluster.js';
import type { Replica } from './replica.js';

root.setTimeout(fileTimeoutMs);

const cleanUpSeconds = 12;

function startAgent(
  t: Test,
  addresses: readonly string[],
  name: string,
  namespaces: string[],
  kubeVersion = 'v1.35.1',
) {
  const connection = new AgentConnection({
    addresses,
    registration: {
      agentId: `agent-of-${name}-${randomBytes(3).toString('hex')}`,
      version: 'test',
      accounts: [
        {
          ...{ name, kubeVersion, namespaces },
          properties: { kubernetesApi: 'full', permissions: JSON.stringify({ READ: ['dev'], WRITE: ['ops'] }) },
        },
      ],
    },
    execute: () => Promise.resolve({ status: 200, message: 'done' }),
    logger: silentLogger,
    limits: { backoff: { initialMs: 100, maximumMs: 1_000, multiplier: 1.6, jitter: 0.2 } },
  });
  connection.start();
  t.teardown(() => connection.stop());
  return connection;
}

async function startSpinnaker(t: Test) {
  t.setTimeout(fileTimeoutMs);
  const directory = mkdtempSync(join(tmpdir(), 'agent-gateway-spinnaker-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const secretFile = join(directory, 'secrets');
  writeFileSync(secretFile, randomBytes(48).toString('base64'));
  const double = await new CredentialsDouble().start();
  t.teardown(() => double.stop());
  const stranger = { name: 'by-hand', type: 'kubernetes', kubeconfigContents: 'apiVersion: v1' };
  double.put(stranger);
  const database = new URL((await mariaDbDatabase(t)).url);
  const sql = await startTcpProxy({ port: Number(database.port) });
  t.teardown(() => sql.close());
  database.port = String(sql.port);
  database.hostname = '127.0.0.1';
  const cluster = await startCluster(t, {
    size: 2,
    settings: {
      'sql.url': database.toString(),
      'kubesvc.kubernetesApi.publicUrl': 'https://gateway.example.com:7002',
      'kubesvc.cache.accountCleanupFrequencySeconds': cleanUpSeconds,
      'spinnaker.tokens.secretFile': secretFile,
      'spinnaker.tokens.lifetimeSeconds': 60,
      'spinnaker.clouddriver.url': double.url,
      'spinnaker.clouddriver.pollSeconds': 1,
    },
  });
  const has = async (name: string, namespace: string, what: string): Promise<void> => {
    const startedAt = performance.now();
    await waitFor(() => (double.get(name)?.['namespaces'] as string[] | undefined)?.includes(namespace), {
      description: `${name} with ${namespace}: ${what}`,
    });
    t.comment(`${what}: ${String(Math.round(performance.now() - startedAt))} ms`);
  };
  const writer = (): Replica => {
    const last = double.writes.filter(({ userAgent }) => userAgent.startsWith('agent-gateway (')).at(-1);
    const found = cluster.replicas.find(({ id }) => last?.userAgent === `agent-gateway (${id})`);
    if (found === undefined) throw new Error('nothing was written');
    return found;
  };
  const untouched = (): void => {
    t.match(double.get('by-hand'), stranger, 'the account of another is as it was');
    t.notOk(double.writes.some(({ name }) => name === 'by-hand'));
  };
  return {
    ...cluster,
    double,
    sql,
    has,
    writer,
    untouched,
    addresses: cluster.replicas.map((each) => each.agentsAddress),
  };
}

test('a frozen holder of the lock wakes up and undoes nothing; then the other is killed', async (t) => {
  const { replicas, double, has, writer, untouched } = await startSpinnaker(t);
  const addresses = replicas.map(({ agentsAddress }) => agentsAddress);
  const first = startAgent(t, addresses, 'a', ['v1']);
  startAgent(t, addresses, 'by-hand', ['v1']);
  await has('a', 'v1', 'an agent comes');
  const frozen = writer();
  const other = replicas.find((each) => each !== frozen) ?? frozen;

  // It has read what agents serve, and is about to write it.
  double.holdReads();
  await first.stop();
  const second = startAgent(t, [other.agentsAddress], 'a', ['v2']);
  await waitFor(() => double.heldReads > 0, { description: 'the holder to be about to write' });
  frozen.signal('SIGSTOP');
  double.holdNoMore();
  await second.stop();
  startAgent(t, [other.agentsAddress], 'a', ['v3']);
  await has('a', 'v3', 'the other takes over from a frozen one');
  double.release();
  frozen.signal('SIGCONT');

  await frozen.ready();
  await other.end('SIGKILL');
  startAgent(t, [frozen.agentsAddress], 'b', ['v4']);
  await has('b', 'v4', 'the first one takes over from a killed one');
  const namespaces = double.writes.filter(({ name }) => name === 'a').map(({ body }) => body?.['namespaces']);
  t.same(
    namespaces.filter((list, index) => JSON.stringify(list) !== JSON.stringify(namespaces[index - 1])),
    [['v1'], ['v3']],
    'what was read before the freeze was never written',
  );
  t.same(
    double.writes.filter(({ method }) => method === 'DELETE').map(({ name }) => name),
    [],
  );
  untouched();
});

test('Clouddriver, Redis and SQL are lost; tokens are renewed; an agent goes', async (t) => {
  const { replicas, redis, double, sql, has, untouched, addresses } = await startSpinnaker(t);
  const goes = startAgent(t, addresses, 'goes', ['v1']);
  const changes = startAgent(t, addresses, 'changes', ['v1']);
  startAgent(t, addresses, 'unreachable', ['v1'], '');
  for (const name of ['goes', 'changes']) await has(name, 'v1', 'an agent comes');
  const first = double.get('goes')?.['kubeconfigContents'];

  const restartedAt = performance.now();
  await double.restartEmpty();
  double.put({ name: 'by-hand', type: 'kubernetes', kubeconfigContents: 'apiVersion: v1' });
  await waitFor(() => double.names.length === 3, { description: 'Clouddriver to have all again' });
  t.comment(`Clouddriver restarted empty: ${String(Math.round(performance.now() - restartedAt))} ms`);

  await redis.kill();
  await changes.stop();
  startAgent(t, addresses, 'changes', ['v2']);
  await has('changes', 'v2', 'an agent changes while Redis is away');
  await redis.restart();

  await sql.cut();
  const cutAt = performance.now();
  await waitFor(() => performance.now() - cutAt > cleanUpSeconds * 1_000 + 3_000, {
    description: 'the clean-up time to pass without SQL',
  });
  await sql.heal();
  for (const replica of replicas) await replica.ready();
  await waitFor(() => double.get('goes')?.['kubeconfigContents'] !== first, {
    description: 'the token to be renewed',
  });
  t.same(
    double.writes.filter(({ method }) => method === 'DELETE').map(({ name }) => name),
    [],
    'nothing was deleted because something was lost',
  );

  await goes.stop();
  const goneAt = performance.now();
  await waitFor(() => double.get('goes') === undefined, { description: 'the account that is gone to be deleted' });
  const tookMs = performance.now() - goneAt;
  t.comment(`an agent goes: ${String(Math.round(tookMs))} ms`);
  t.ok(tookMs >= cleanUpSeconds * 1_000 - 1_000, 'after the clean-up time');
  t.same(double.names, ['by-hand', 'changes'], 'one that never answered was never registered');
  untouched();
});
