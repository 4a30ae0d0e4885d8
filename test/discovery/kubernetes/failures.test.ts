/**
 * Discovery in Kubernetes when things break: after each failure it must go on by itself, keep its members meanwhile,
 * miss nothing, and list anew only when the version it knows is gone.
 */

import { test, type Test } from 'tap';
import type { MembershipChange } from '../../../src/discovery/discovery.js';
import type { KubernetesDiscovery } from '../../../src/discovery/kubernetes.js';
import { KubernetesApiServer, type Failure } from '../../kubernetes-server/api-server.js';
import { endpoints, endpointSlice } from '../../kubernetes-server/objects.js';
import type { Watches } from '../../kubernetes-server/watches.js';
import { startTcpProxy } from '../../tcp-proxy.js';
import { waitFor } from '../../wait.js';
import { recordingLogger } from '../recording-logger.js';
import { selfSigned, startDiscovery } from './start.js';

const service = 'spin-clouddriver';

interface Running {
  readonly api: KubernetesApiServer;
  readonly discovery: KubernetesDiscovery;
  readonly changes: MembershipChange[];
  /** Puts a slice with one pod. */
  put(pod: string): void;
  lists(): number;
  watches(): URLSearchParams[];
}

async function run(t: Test, options: Parameters<typeof startDiscovery>[2] = {}): Promise<Running> {
  const api = await KubernetesApiServer.start(t);
  const put = (pod: string): void => {
    const pods = [{ name: pod, ip: '10.0.0.1' }];
    api.store.put('endpointslices', endpointSlice({ service, name: `slice-${pod}`, pods }));
  };
  put('pod-1');
  const discovery = await startDiscovery(t, api, options);
  await waitFor(() => api.watches.count === 1);
  const changes: MembershipChange[] = [];
  discovery.onChange((change) => changes.push(change));
  const queries = (verb: string): URLSearchParams[] =>
    api.requests.filter((request) => request.verb === verb).map(({ query }) => query);
  return { api, discovery, changes, put, lists: () => queries('list').length, watches: () => queries('watch') };
}

/** What must hold after every failure that has not lost the version. */
async function resumed(t: Test, { api, discovery, changes, put, lists }: Running): Promise<void> {
  await waitFor(() => api.watches.count === 1 && discovery.state().status === 'known', { description: 'a new watch' });
  put('pod-later');
  await waitFor(() => discovery.instance('pod-later'));
  t.ok(discovery.instance('pod-1'));
  t.same(
    changes.flatMap(({ removed }) => removed),
    [],
    'no member was ever lost',
  );
  t.equal(lists(), 1, 'resumed, not listed anew');
}

/** How a watch breaks, and what is said about it. */
const breaks: readonly [name: string, breakIt: (watches: Watches) => void, said: RegExp][] = [
  ['the server resets the socket', (watches) => watches.reset(), /ECONNRESET|terminated|closed/],
  ['a reset in the middle of an event', (watches) => watches.cut('reset'), /ECONNRESET|terminated|closed/],
  ['an end in the middle of an event', (watches) => watches.cut('end'), /cut off in the middle/],
  ['a line that is not JSON', (watches) => watches.garble(), /JSON/],
  ['a failure inside the server', (watches) => watches.error(500), /500: injected/],
];

for (const [name, breakIt, said] of breaks) {
  test(`${name}: unknown meanwhile, then resumed with what was missed`, async (t) => {
    const logger = recordingLogger();
    const running = await run(t, { logger });
    const { api, discovery, put, watches } = running;
    breakIt(api.watches);
    put('pod-missed');
    const version = Number(watches()[0]?.get('resourceVersion'));
    await waitFor(() => discovery.instance('pod-missed') && watches().length > 1);
    await resumed(t, running);
    t.ok(Number(watches()[1]?.get('resourceVersion')) >= version);
    t.match(
      logger.lines.filter(({ level }) => level === 'warn'),
      [
        {
          fields: { error: said, members: 1 },
          message: /cannot follow the cluster members; keeping the last known ones/,
        },
      ],
    );
  });
}

test('the server ends the watch in order: the next begins at the bookmark, and the members stay known', async (t) => {
  const running = await run(t);
  const { api, discovery } = running;
  const { since } = discovery.state();
  api.store.put('endpointslices', endpointSlice({ service: 'spin-orca', pods: [] }));
  api.watches.bookmark();
  const { version } = api.store;
  api.watches.end();
  await waitFor(() => running.watches().length === 2);
  t.equal(running.watches()[1]?.get('resourceVersion'), String(version));
  t.same(discovery.state(), { status: 'known', since });
  await resumed(t, running);
});

test('a watch lasts as long as was asked, one follows the other without a pause', async (t) => {
  const running = await run(t, { watchTimeoutSeconds: 1 });
  const { since } = running.discovery.state();
  await waitFor(() => running.watches().length >= 4);
  t.same(running.discovery.state(), { status: 'known', since });
  await resumed(t, running);
});

const refusals: Failure[] = [500, 503, 429, 401, 'reset', 'html', 'no-answer'];
for (const failure of refusals) {
  test(`new watches fail (${String(failure)}): resumed`, async (t) => {
    const running = await run(t, { requestTimeoutMs: 300 });
    const { api, discovery } = running;
    api.fail('watch', failure, 2);
    api.watches.reset();
    await waitFor(() => discovery.state().status === 'unknown');
    t.match(discovery.instances(), [{ id: 'pod-1', ready: true }], 'the members stay');
    await resumed(t, running);
  });
}

test('a watch that fails again and again is given up, and all is listed anew', async (t) => {
  const { api, discovery, lists, put } = await run(t);
  api.fail('watch', 500, 5);
  api.watches.reset();
  put('pod-2');
  await waitFor(() => discovery.instance('pod-2'));
  t.equal(lists(), 2);
  await waitFor(() => api.watches.count === 1 && discovery.state().status === 'known');
});

for (const how of ['as an event', 'as a status'] as const) {
  test(`410 Gone ${how}: listed anew, and what went meanwhile is gone`, async (t) => {
    const { api, discovery, changes, lists, put } = await run(t);
    if (how === 'as a status') api.fail('watch', 410);
    else api.fail('watch', 500);
    api.watches.reset();
    put('pod-2');
    api.store.delete('endpointslices', 'spinnaker', 'slice-pod-1');
    api.store.compact();
    await waitFor(() => discovery.instance('pod-2') && !discovery.instance('pod-1'));
    t.equal(lists(), 2);
    t.same(changes, [{ added: ['pod-2'], changed: [], removed: ['pod-1'] }], 'in one step');
    await waitFor(() => discovery.state().status === 'known' && api.watches.count === 1);
  });
}

test('410 inside a running watch: listed anew', async (t) => {
  const { api, discovery, lists, put } = await run(t);
  api.watches.error(410);
  await waitFor(() => lists() === 2 && api.watches.count === 1);
  put('pod-2');
  await waitFor(() => discovery.instance('pod-2'));
  t.equal(discovery.state().status, 'known');
});

test('a list that fails, also between two pages, is tried again', async (t) => {
  const { api, discovery, put } = await run(t);
  for (let i = 0; i < 600; i += 1) put(`many-${String(i)}`);
  await waitFor(() => discovery.instances().length === 601);
  api.fail('list', 500);
  api.fail('list', 'reset');
  api.store.compact();
  api.watches.error(410);
  await waitFor(() => api.watches.count === 1 && discovery.state().status === 'known');
  t.equal(discovery.instances().length, 601);
});

test('half-open: a watch on which nothing comes any more is noticed and replaced', async (t) => {
  const running = await run(t, { watchTimeoutSeconds: 1, watchMarginMs: 200 });
  const { api, discovery, put } = running;
  api.watches.freeze();
  api.fail('watch', 500);
  put('pod-missed');
  t.notOk(discovery.instance('pod-missed'));
  await waitFor(() => discovery.state().status === 'unknown');
  await waitFor(() => discovery.instance('pod-missed'));
  await resumed(t, running);
});

test('a network that swallows everything, and heals', async (t) => {
  const api = await KubernetesApiServer.start(t);
  const proxy = await startTcpProxy({ port: api.port });
  t.teardown(async () => {
    // Node 20 spins at exit when a socket was reset while its shutdown was under way: let the connections end first.
    await waitFor(() => proxy.connections === 0);
    await proxy.close();
  });
  const apiServer = `http://127.0.0.1:${String(proxy.port)}`;
  const times = { watchTimeoutSeconds: 1, watchMarginMs: 200, requestTimeoutMs: 300 };
  const discovery = await startDiscovery(t, api, { apiServer, ...times });
  proxy.stall();
  api.store.put('endpointslices', endpointSlice({ service, pods: [{ name: 'pod-2', ip: '10.0.0.2' }] }));
  await waitFor(() => discovery.state().status === 'unknown');
  await proxy.heal();
  await waitFor(() => discovery.instance('pod-2') && discovery.state().status === 'known');
});

test('the API server restarts: refused meanwhile, then resumed', async (t) => {
  const running = await run(t);
  const { api, discovery, put } = running;
  await api.stop();
  await waitFor(() => discovery.state().status === 'unknown');
  t.match(discovery.instances(), [{ id: 'pod-1', ready: true }]);
  put('pod-missed');
  await api.start();
  await waitFor(() => discovery.instance('pod-missed') && discovery.state().status === 'known');
  t.same(
    running.changes.flatMap(({ removed }) => removed),
    [],
  );
});

test('an expired token is read anew, from the service account and from a kubeconfig', async (t) => {
  for (const from of ['service account', 'kubeconfig'] as const) {
    const api = await KubernetesApiServer.start(t, { tls: selfSigned() });
    const options = from === 'kubeconfig' ? { kubeconfigFile: api.kubeconfigFile, verifySsl: false } : {};
    const discovery = await startDiscovery(t, api, options);
    await waitFor(() => api.watches.count === 1);
    api.expireToken();
    api.watches.end();
    await waitFor(() => /401/.test(discovery.state().error ?? ''), { description: 'the old token to be refused' });
    await api.writeCredentials();
    await waitFor(() => discovery.state().status === 'known' && api.watches.count === 1);
    t.pass(from);
  }
});

test('a permission taken away: members stay, and the other resource is tried', async (t) => {
  const { api, discovery, watches } = await run(t);
  api.store.put('endpoints', endpoints({ service, pods: [{ name: 'pod-1', ip: '10.0.0.1', ready: false }] }));
  api.permissions.clear();
  api.watches.end();
  await waitFor(() => /not permitted/.test(discovery.state().error ?? ''));
  t.equal(watches().length, 2, 'one refusal is enough');
  t.match(discovery.instances(), [{ id: 'pod-1', ready: true }]);
  for (const verb of ['list', 'watch']) api.permissions.add(`${verb} endpoints`);
  await waitFor(() => discovery.instance('pod-1')?.ready === false && discovery.state().status === 'known');
});

test('a server that ends every watch at once is not asked in a tight loop', async (t) => {
  const { api, watches, discovery } = await run(t);
  const before = watches().length;
  const began = Date.now();
  while (watches().length < before + 8) {
    await waitFor(() => api.watches.count === 1, { intervalMs: 1 });
    api.watches.end();
    await waitFor(() => api.watches.count === 0, { intervalMs: 1 });
    await waitFor(() => api.watches.count === 1, { intervalMs: 1 });
  }
  // 8 pauses of 20, 40, 80, 100 ... ms, less a fifth.
  t.ok(Date.now() - began >= 400, `8 watches took ${String(Date.now() - began)} ms`);
  t.equal(discovery.state().status, 'known');
});
