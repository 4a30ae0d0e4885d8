/** Where requests go, how long they wait for an agent, and that nothing is sent twice. */

import { test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { Session } from '../../../src/gateway/agents/session.js';
import { AbsentAccounts } from '../../../src/gateway/kubernetes-api/absent-accounts.js';
import { ApiRouting, type ApiDestination } from '../../../src/gateway/kubernetes-api/routing.js';
import type { Ownership } from '../../../src/store/assignments/ownership.js';
import type { Exchange, ExchangeEvents } from '../../../src/tunnel/exchange.js';
import { waitFor } from '../../wait.js';

const request = {
  account: 'prod',
  method: 'GET',
  target: '/api/v1/pods',
  headers: [],
  upgrade: '',
  lasting: false,
};
const complete = { complete: true };
const session = new Session(
  { address: 'agent', write: () => true, pause: () => undefined, resume: () => undefined, end: () => undefined },
  { maxInFlight: 1, queueLimit: 1 },
  () => performance.now(),
);
session.activate({
  agentId: 'agent-1',
  zoneId: '',
  version: '1',
  epoch: 1,
  dynamicAccounts: false,
  kubernetesApi: true,
});

function ownedBy(...instanceIds: readonly string[]): Ownership {
  const assignments = instanceIds.map((instanceId) => ({ instanceId, agentId: 'agent-2', epoch: 1, caching: true }));
  return { account: 'prod', version: 1, assignments };
}

/** A routing among doubles: what memory and the truth say may change, and every exchange is kept. */
function set(options: {
  readonly holdMs?: number;
  readonly forgetMs?: number;
  readonly known?: Ownership;
  readonly truth?: () => Ownership | undefined;
}) {
  const world = {
    session: undefined as Session | undefined,
    asked: 0,
    changed: (_ownership: Ownership): void => undefined,
  };
  const sent: { readonly to: string; readonly events: ExchangeEvents; readonly written: string[] }[] = [];
  const open =
    (to: string) =>
    (events: ExchangeEvents): Exchange => {
      const written: string[] = [];
      sent.push({ to, events, written });
      return {
        write: (data) => written.push(Buffer.from(data).toString()) > 0,
        end: () => undefined,
        consumed: () => undefined,
        cancel: (message) => written.push(`cancelled: ${message}`),
      };
    };
  const routing = new ApiRouting({
    instanceId: 'here',
    ownership: {
      resolve: () => options.known,
      refresh: () => {
        world.asked += 1;
        return Promise.resolve(options.truth?.());
      },
      onChange: (listener) => {
        world.changed = (ownership) => {
          listener(ownership, undefined);
        };
        return () => true;
      },
    },
    registry: { sessionFor: () => world.session },
    discovery: {
      instance: (id) => (id === 'unlisted' ? undefined : { id, baseUrl: `http://${id}`, ready: true, lastUpdated: 0 }),
    },
    toAgent: (_session, _request, _first, events) => open('agent')(events),
    toPeer: ({ id }, _request, _first, events) => open(id)(events),
    holdMs: options.holdMs ?? 5_000,
    forgetMs: options.forgetMs ?? 600_000,
    stopping: new AbortController().signal,
  });
  const told: string[] = [];
  const destinations: ApiDestination[] = [];
  const events: ExchangeEvents = {
    onResponse: ({ status }) => told.push(`status ${String(status)}`),
    onData: () => undefined,
    onEnd: () => told.push('end'),
    onDrain: () => told.push('drain'),
    onFailed: ({ code }) => told.push(code),
  };
  const start = (first: { readonly complete: boolean } = complete) =>
    routing.start(request, first, events, (destination) => destinations.push(destination));
  return { world, sent, told, destinations, start, routing, events };
}

const unsent = (code: 'not-owner' | 'agent-lost' | 'overloaded' | 'draining') =>
  new GatewayError(code, code, { unsent: true });

test('by what is in memory: an agent here, or the owner', (t) => {
  const local = set({});
  local.world.session = session;
  local.start();
  t.same(
    local.sent.map(({ to }) => to),
    ['agent'],
  );
  t.same(local.destinations, [{ path: 'local', instanceId: 'here', agentId: 'agent-1' }]);
  const remote = set({ known: ownedBy('here', 'there') });
  remote.start();
  t.same(
    remote.sent.map(({ to }) => to),
    ['there'],
  );
  t.same(remote.destinations, [{ path: 'forwarded', instanceId: 'there', agentId: 'agent-2' }]);
  t.equal(remote.world.asked, 0, 'SQL is not asked');
  t.end();
});

test('after "not owner" the truth is asked, and the next owner gets it', async (t) => {
  const { sent, told, start } = set({ known: ownedBy('old'), truth: () => ownedBy('new') });
  start();
  sent[0]?.events.onFailed(unsent('not-owner'));
  await waitFor(() => sent.length === 2);
  t.same(
    sent.map(({ to }) => to),
    ['old', 'new'],
  );
  sent[1]?.events.onResponse({ status: 200, headers: [] });
  sent[1]?.events.onEnd([]);
  t.same(told, ['status 200', 'end']);
});

test('what may have been sent is never sent again', (t) => {
  const { world, sent, told, start } = set({ known: ownedBy('there'), truth: () => ownedBy('there') });
  start();
  sent[0]?.events.onFailed(new GatewayError('owner-unreachable', 'the connection broke'));
  t.same(told, ['owner-unreachable']);
  t.equal(world.asked, 0);
  t.end();
});

test('a refusal that waiting cannot change is told at once', (t) => {
  const { sent, told, start } = set({ known: ownedBy('there') });
  start();
  sent[0]?.events.onFailed(unsent('overloaded'));
  t.same(told, ['overloaded']);
  t.end();
});

test('a request whose body has begun to flow is not sent elsewhere', async (t) => {
  const { sent, told, start } = set({ known: ownedBy('there'), truth: () => ownedBy('there') });
  const exchange = start({ complete: false });
  await waitFor(() => told.includes('drain'));
  exchange.write(Buffer.from('part'));
  sent[0]?.events.onFailed(unsent('draining'));
  t.same(told, ['drain', 'draining']);
});

test('a request waits for an agent that is between two replicas', async (t) => {
  let truth = ownedBy();
  const { world, sent, told, start } = set({ known: ownedBy(), truth: () => truth });
  start();
  await waitFor(() => world.asked >= 2);
  t.same(told, []);
  truth = ownedBy('there');
  await waitFor(() => sent.length === 1);
  t.equal(sent[0]?.to, 'there');
});

test('it is refused when no agent comes in time, and the next one does not wait', async (t) => {
  const { world, told, start } = set({ known: ownedBy(), truth: () => ownedBy(), holdMs: 200 });
  start();
  await waitFor(() => told.length === 1);
  const asked = world.asked;
  start();
  await waitFor(() => told.length === 2);
  t.same(told, ['no-agent', 'no-agent']);
  t.equal(world.asked, asked + 1, 'the truth is asked once, without a wait');
});

test('an account that nobody knows, and an owner that is no member', async (t) => {
  const unknown = set({});
  unknown.start();
  await waitFor(() => unknown.told.length === 1);
  t.same(unknown.told, ['unknown-account']);
  const unlisted = set({ known: ownedBy('unlisted'), truth: () => ownedBy('unlisted'), holdMs: 50 });
  unlisted.start();
  await waitFor(() => unlisted.told.length === 1);
  t.same(unlisted.told, ['no-agent']);
});

test('a caller that goes while its request waits is forgotten', async (t) => {
  const { world, sent, told, start } = set({ known: ownedBy(), truth: () => ownedBy() });
  const exchange = start();
  await waitFor(() => world.asked >= 1);
  exchange.cancel('gone');
  world.session = session;
  const { asked } = world;
  await new Promise((resolve) => setImmediate(resolve));
  t.same(told, []);
  t.same(sent, []);
  t.equal(world.asked, asked);
});

test('a forwarded request goes to an agent here, or nowhere', (t) => {
  const { world, sent, routing, events } = set({ known: ownedBy('there') });
  t.throws(() => routing.startHere(request, complete, events), { code: 'not-owner', details: { unsent: true } });
  world.session = session;
  routing.startHere(request, complete, events);
  t.same(
    sent.map(({ to }) => to),
    ['agent'],
  );
  t.end();
});

test('an account that was removed a moment ago is one without an agent; one that nobody knows is unknown', async (t) => {
  const removed = { account: request.account, version: 2, assignments: [] };
  for (const [forgetMs, expected] of [
    [600_000, 'no-agent'],
    [0, 'unknown-account'],
  ] as const) {
    const { world, told, start } = set({ holdMs: 0, forgetMs });
    world.changed(removed);
    start();
    await waitFor(() => told.length > 0);
    t.same(told, [expected]);
  }
  const { told, start } = set({});
  start();
  await waitFor(() => told.length > 0);
  t.same(told, ['unknown-account'], 'at once');
});

test('absent accounts: since when, bounded, and forgotten when an agent answers', (t) => {
  let now = 1_000;
  const absent = new AbsentAccounts({ holdMs: 5_000, forgetMs: 60_000, now: () => now });
  t.equal(absent.holdUntil('a'), 6_000);
  absent.missing('a');
  now = 9_000;
  absent.missing('a');
  t.equal(absent.holdUntil('a'), 6_000, 'its time is over');
  t.equal(absent.isRecent('a'), true);
  now = 61_001;
  t.equal(absent.isRecent('a'), false);
  t.equal(absent.isRecent('never seen'), false);
  now = 9_000;
  absent.found('a');
  t.equal(absent.holdUntil('a'), 14_000);
  absent.missing('first');
  for (let index = 0; index < 10_000; index += 1) absent.missing(`account-${String(index)}`);
  now = 10_000;
  t.equal(absent.holdUntil('first'), 15_000, 'the oldest was forgotten');
  t.end();
});
