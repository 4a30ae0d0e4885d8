/** Which accounts Clouddriver's store gets, loses and keeps, with the double of its /credentials. */

import { t as root, test, type Test } from 'tap';
import { silentLogger } from '../../../src/core/logger.js';
import { keepClouddriverAccounts } from '../../../src/gateway/spinnaker/clouddriver-accounts.js';
import type { PublishedAccount, UnpublishedAccount } from '../../../src/gateway/spinnaker/published-accounts.js';
import { createMetrics } from '../../../src/gateway/telemetry/metrics.js';
import { writeYaml } from '../../../src/documents/yaml.js';
import { kubeconfigWithToken } from '../../../src/gateway/kubernetes-api/kubeconfig.js';
import type { ClouddriverAccountRecord } from '../../../src/store/accounts/clouddriver-account-record.js';
import { waitFor } from '../../wait.js';
import { CredentialsDouble } from './credentials-double.js';

root.setTimeout(300_000);

const token = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIiwiZXhwIjoxNzAwMDAwMDAwfQ.c2lnbmF0dXJlLXRoYXQtaXMtbG9uZw';

function kubeconfig(name: string, gateways = 'here', of = token): string {
  const address = { baseUrl: 'https://gateway.example.com:7002', certificateAuthority: undefined };
  return writeYaml(kubeconfigWithToken(name, of, address, gateways));
}

function published(name: string, changes: Partial<PublishedAccount> = {}): PublishedAccount {
  return {
    name,
    namespaces: ['default'],
    omitNamespaces: [],
    permissions: { READ: ['dev'], WRITE: ['ops'] },
    options: {},
    kubeconfigContents: kubeconfig(name),
    answering: true,
    lastSeenAt: 0,
    ...changes,
  };
}

/** As SIGSTOP and SIGCONT: neither timers nor sockets are served. */
function freeze(ms: number): void {
  if (ms > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** The loop, with a database and a gateway in memory. */
async function start(t: Test, { cleanUpMs = 60_000, pollMs = 20, lockMs = 5_000 } = {}) {
  const double = await new CredentialsDouble().start();
  const serving = {
    accounts: new Map<string, PublishedAccount>(),
    unpublished: [] as UnpublishedAccount[],
    lost: false,
    /** Time for which the process stands still after it has read them, in ms. */
    frozenMs: 0,
  };
  const lock = { free: true, asked: 0 };
  const records = new Map<string, ClouddriverAccountRecord>();
  const metrics = createMetrics('one', 'test');
  const stopping = new AbortController();
  const running = keepClouddriverAccounts(
    {
      instanceId: 'one',
      published: {
        list: () => {
          freeze(serving.frozenMs);
          if (serving.lost) return Promise.reject(new Error('SQL is away'));
          return Promise.resolve({ accounts: [...serving.accounts.values()], unpublished: serving.unpublished });
        },
      },
      address: { url: double.url, field: 'spinnaker.clouddriver.url', spinnakerUser: 'gateway', userAgent: 'one' },
      states: {
        list: () => Promise.resolve([...records.values()]),
        write: (changed, removed) => {
          for (const record of changed) records.set(record.name, { ...record, lastUpdated: 0 });
          for (const name of removed) records.delete(name);
          return Promise.resolve();
        },
      },
      locks: {
        acquire: () => {
          lock.asked += 1;
          return Promise.resolve(lock.free);
        },
        renew: () => Promise.resolve(lock.free),
        release: () => Promise.resolve(true),
      },
      lockMs,
      gateways: 'here',
      pollMs,
      cleanUpMs,
      logger: silentLogger,
      metrics,
    },
    stopping.signal,
  );
  t.teardown(async () => {
    stopping.abort(new Error('the test is over'));
    await running;
    await double.stop();
    metrics.registry.clear();
  });
  /** What comes after it has seen all that was there before. */
  const compared = async (): Promise<void> => {
    const text = async () => (await metrics.clouddriver.comparisons.get()).values[0]?.value ?? 0;
    const before = await text();
    await waitFor(async () => (await text()) >= before + 2);
  };
  const serve = (account: PublishedAccount): void => void serving.accounts.set(account.name, account);
  const state = async (name: string, wanted: string): Promise<string> => {
    await waitFor(() => records.get(name)?.state === wanted, { description: `${name} to be ${wanted}` });
    return records.get(name)?.message ?? '';
  };
  return { double, serving, lock, records, metrics, compared, serve, state };
}

test('accounts that answer are registered, and written again only when something changes', async (t) => {
  const { double, serve, state, compared, metrics } = await start(t);
  serve(published('a'));
  serve(published('away', { answering: false }));
  serve(published('everywhere', { namespaces: [], omitNamespaces: ['kube-system'], options: { environment: 'prod' } }));
  await state('a', 'registered');
  await state('everywhere', 'registered');
  t.match(await state('away', 'waiting'), /has not answered/u);
  t.match(double.get('a'), {
    ...{ type: 'kubernetes', namespaces: ['default'], checkPermissionsOnStartup: false },
    ...{ permissions: { READ: ['dev'], WRITE: ['ops'] }, kubeconfigContents: kubeconfig('a') },
    kubectlRequestTimeoutSeconds: 120,
  });
  t.match(double.get('everywhere'), { namespaces: [], omitNamespaces: ['kube-system'], environment: 'prod' });
  t.notOk(double.writes.some(({ body }) => body !== undefined && '@type' in body));
  t.same(new Set(double.writes.map(({ user }) => user)), new Set(['gateway']));
  t.equal(double.get('away'), undefined, 'one that cannot be reached is never registered first');

  await compared();
  t.equal(double.writes.length, 2, 'nothing is written when nothing has changed');
  serve(published('a', { namespaces: ['default', 'shop'] }));
  await waitFor(() => (double.get('a')?.['namespaces'] as string[]).includes('shop'));
  serve(published('a', { kubeconfigContents: kubeconfig('a', 'here', `${token}2`), answering: false }));
  await waitFor(() => String(double.get('a')?.['kubeconfigContents']).includes(`${token}2`), {
    description: 'a renewed token to arrive, also while the agent is away',
  });
  serve(published('everywhere', { namespaces: [], omitNamespaces: ['kube-system'] }));
  await waitFor(() => double.get('everywhere')?.['environment'] === null, {
    description: 'an option that is gone to be gone there',
  });
  await compared();
  t.equal(double.writes.length, 5);
  const { values } = await metrics.clouddriver.accounts.get();
  t.same(Object.fromEntries(values.map(({ labels, value }) => [labels.state, value])), { registered: 2, waiting: 1 });
});

test('a Clouddriver that restarts empty, or was away, gets everything again', async (t) => {
  const { double, serve, state } = await start(t);
  for (const name of ['a', 'b', 'c']) serve(published(name));
  for (const name of ['a', 'b', 'c']) await state(name, 'registered');
  await double.restartEmpty();
  await waitFor(() => double.names.length === 3, { timeoutMs: 10_000 });
  t.same(double.names, ['a', 'b', 'c']);
});

test('an account is deleted after the clean-up time, not when its agent is away or SQL is', async (t) => {
  const { double, serve, serving, state, compared } = await start(t, { cleanUpMs: 700 });
  for (const name of ['a', 'b', 'aws/arn']) serve(published(name));
  for (const name of ['a', 'b']) await state(name, 'registered');
  t.match(await state('aws/arn', 'registered'), /cannot delete it/u, 'a name with a slash is told');
  serving.accounts.delete('a');
  await state('a', 'leaving');
  serve(published('a'));
  await state('a', 'registered');
  t.ok(double.get('a'), 'it came back in time');

  serving.accounts.delete('a');
  await state('a', 'leaving');
  serving.lost = true;
  const lostAt = performance.now();
  await waitFor(() => performance.now() > lostAt + 800, { description: 'the clean-up time to pass without SQL' });
  t.ok(double.get('a'));
  serving.lost = false;
  await compared();
  t.ok(double.get('a'), 'the time begins again after a gap');
  await waitFor(() => double.get('a') === undefined, { description: 'the account to be deleted' });

  serving.accounts.delete('aws/arn');
  t.match(await state('aws/arn', 'refused'), /cannot delete it.*400/u);
  t.same(double.names, ['aws/arn', 'b']);
});

test('accounts of others are never touched', async (t) => {
  const { double, serve, state, compared } = await start(t, { cleanUpMs: 50 });
  const strangers = [
    { name: 'by-hand', type: 'kubernetes', kubeconfigContents: 'apiVersion: v1\nkind: Config' },
    { name: 'marked-by-others', type: 'kubernetes', kubeconfigContents: kubeconfig('marked-by-others', 'elsewhere') },
    { name: 'broken', type: 'kubernetes', kubeconfigContents: 'agent-gateway: [' },
    { name: 'not-ours', type: 'kubernetes', kubeconfigContents: kubeconfig('not-ours', 'elsewhere') },
  ];
  for (const stranger of strangers) double.put(stranger);
  double.configured.add('in-a-file');
  for (const name of ['by-hand', 'marked-by-others', 'in-a-file']) serve(published(name));
  t.match(await state('by-hand', 'conflict'), /did not make.*left alone/u);
  t.match(await state('marked-by-others', 'conflict'), /elsewhere/u);
  t.match(await state('in-a-file', 'conflict'), /already exists.*configuration/u);
  await compared();
  t.same(
    double.writes.filter(({ status }) => status < 300),
    [],
    'nothing was written',
  );
  for (const stranger of strangers) t.match(double.get(stranger.name), stranger);
});

test('refusals are told without secrets, and tried again when something changes', async (t) => {
  const { double, serve, serving, state } = await start(t);
  const quoted = `Cannot save account with definition ${JSON.stringify({ kubeconfigContents: kubeconfig('a') })}`;
  double.refusals.set('a', { status: 500, message: quoted });
  double.refusals.set('b', { status: 403, message: `Access denied to ${token} ${'so long '.repeat(200)}` });
  for (const name of ['a', 'b', 'c']) serve(published(name));
  serving.unpublished.push({ name: 'd', problem: 'its permissions are wrong' });
  const [a, b] = [await state('a', 'refused'), await state('b', 'refused')];
  t.match(a, /answered 500: Cannot save account/u);
  t.match(b, /answered 403: Access denied/u);
  t.notMatch(a + b, /eyJ/u, 'without tokens');
  t.ok(b.length < 600, 'and bounded');
  await state('c', 'registered');
  t.equal(await state('d', 'invalid'), 'its permissions are wrong');
  double.refusals.clear();
  serve(published('a', { namespaces: ['other'] }));
  await state('a', 'registered');
});

test('an instance that was frozen until it lost the lock writes nothing more', async (t) => {
  const { double, serve, serving, lock, state } = await start(t, { lockMs: 300 });
  serve(published('a'));
  await state('a', 'registered');
  const before = double.writes.length;
  const asked = lock.asked;
  serving.frozenMs = 400;
  lock.free = false;
  serve(published('b'));
  await waitFor(() => lock.asked > asked, { description: 'the lock to be lost' });
  t.equal(double.writes.length, before, 'it has read what to write, and writes nothing');
  lock.free = true;
  serving.frozenMs = 0;
  await state('b', 'registered');
});
