/** Pings, silence, age, and what is forgotten, on a clock of the test's own. */

import { setImmediate as turn } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { cachingGraceMs } from '../../../src/gateway/agents/caching-assignment/grace.js';
import { Liveness } from '../../../src/gateway/agents/liveness.js';
import type { Registry } from '../../../src/gateway/agents/registry.js';
import { Session } from '../../../src/gateway/agents/session.js';
import { waitFor } from '../../wait.js';
import { frames, TransportDouble } from './session-double.js';

/** One look at the session every 1 ms, in parts; a ping after 10 ms. */
const silenceMs = 16;
const times = {
  alone: { quietMs: 10, silenceMs, lostMs: silenceMs },
  sharing: { quietMs: 2, silenceMs: 6, lostMs: 10 },
};

async function setUp(t: Test, { maxConnectionAgeMs = 0, queueLimit = 3, epoch = 1 } = {}) {
  const clock = { ms: 1_000_000 };
  const transport = new TransportDouble();
  const session = new Session(transport, { maxInFlight: 10, queueLimit }, () => clock.ms);
  session.registering();
  session.activate({ agentId: 'agent', zoneId: '', version: '', epoch, dynamicAccounts: false, kubernetesApi: false });
  session.ping(frames.ping(0, 0), silenceMs);
  await turn();
  transport.sent.length = 0;
  const closed: string[] = [];
  const cachesFor: number[] = [];
  const registry = {
    sessions: new Set([session]),
    closed: (ended: Session, error?: { readonly code: string }) => {
      closed.push(error?.code ?? '');
      cachesFor.push(ended.cachingGraceMs);
      ended.close();
    },
  } as unknown as Registry;
  const liveness = new Liveness({
    registry,
    frames,
    times,
    maxConnectionAgeMs,
    now: () => clock.ms,
    wallTime: () => clock.ms,
  });
  const stop = new AbortController();
  const running = liveness.run(stop.signal);
  t.teardown(() => {
    stop.abort();
    return running;
  });
  /** Waits until it has looked at the session twice more. */
  const looked = async (): Promise<void> => {
    const forgot = looks;
    await waitFor(() => looks >= forgot + 2);
  };
  let looks = 0;
  const forget = session.forgetExpired.bind(session);
  session.forgetExpired = (now) => {
    looks += 1;
    forget(now);
  };
  return { clock, transport, session, closed, cachesFor, looked };
}

test('an agent that is sent nothing for a while is pinged, in the period that it is told', async (t) => {
  const { clock, transport, session, looked } = await setUp(t);
  await looked();
  t.same(transport.sent, [], 'it was sent something just now');
  for (let pings = 1; pings <= 3; pings += 1) {
    clock.ms += 10;
    await waitFor(() => transport.sent.length === pings);
    session.lastHeard = clock.ms;
    await looked();
    t.equal(transport.sent.length, pings, 'once');
  }
  t.ok(transport.sent.every((frame) => frame.startsWith('ping ')));
});

test('an agent of which something is heard, and that is sent something, is not pinged', async (t) => {
  const { clock, transport, session, looked } = await setUp(t);
  session.answersPings = true;
  for (let step = 0; step < 5; step += 1) {
    clock.ms += 9;
    session.lastHeard = clock.ms;
    session.send(Buffer.from('operation'));
    await turn();
    await looked();
  }
  t.ok(transport.sent.every((frame) => frame === 'operation'));
  clock.ms += 9;
  session.lastHeard = clock.ms;
  await looked();
  clock.ms += 1;
  await waitFor(() => transport.sent.at(-1)?.startsWith('ping ') === true);
});

test('an agent that answers pings and falls silent is lost; one that never answered is not', async (t) => {
  const { clock, transport, session, closed, cachesFor, looked } = await setUp(t);
  for (let step = 0; step < 5; step += 1) {
    clock.ms += silenceMs / 8;
    await looked();
  }
  clock.ms += silenceMs + 1;
  await looked();
  t.same(closed, [], 'it never answered a ping');
  session.answersPings = true;
  session.lastHeard = clock.ms;
  await silence(clock, silenceMs, looked);
  t.same(closed, [], 'not yet');
  const pings = transport.sent.length;
  await looked();
  t.equal(transport.sent.length, pings, 'but it is pinged once only, so that it gives up before');
  clock.ms += 1;
  await waitFor(() => closed.length > 0);
  t.same(closed, ['agent-lost']);
  t.equal(cachesFor.length, 1);
  t.ok((cachesFor[0] ?? 0) > 0, 'the one ping may have reached it');
});

test('an agent that is lost while it is sent operations may go on caching for a while after the last one', async (t) => {
  const { clock, session, closed, cachesFor, looked } = await setUp(t);
  session.answersPings = true;
  await silence(clock, silenceMs, looked);
  session.send(Buffer.from('operation'));
  await turn();
  clock.ms += 1;
  await waitFor(() => closed.length > 0);
  t.same(cachesFor, [cachingGraceMs(silenceMs) - 1]);
});

test('a process that was stopped gives its agents the time to be heard again', async (t) => {
  const { clock, session, closed, looked } = await setUp(t);
  session.answersPings = true;
  clock.ms += 10 * silenceMs;
  await looked();
  t.same(closed, [], 'nothing was read meanwhile, so silence says nothing');
  await silence(clock, silenceMs - 1, looked);
  t.same(closed, []);
  clock.ms += 2;
  await waitFor(() => closed.length > 0);
  t.same(closed, ['agent-lost'], 'silence goes on');
});

test('an agent that shares an account is pinged often, and gives up soon', async (t) => {
  const { clock, transport, session, closed, cachesFor, looked } = await setUp(t);
  session.ponged();
  t.equal(session.cachingGraceMs, cachingGraceMs(16));
  session.share('a', true);
  session.lastHeard = clock.ms += 2;
  await waitFor(() => transport.sent.length === 1);
  t.equal(session.cachingGraceMs, cachingGraceMs(16), 'it may not have got the ping that tells it');
  session.ponged();
  t.equal(session.cachingGraceMs, cachingGraceMs(6));
  session.lastHeard = clock.ms;
  await silence(clock, 10, looked);
  t.same(closed, []);
  clock.ms += 1;
  await waitFor(() => closed.length > 0);
  t.same(closed, ['agent-lost']);
  t.equal(cachesFor[0], 0, 'by now it has stopped');
  session.share('a', false);
  t.notOk(session.sharing);
});

/** Lets time go by in steps that no stall of the process is seen in. */
async function silence(clock: { ms: number }, ms: number, looked: () => Promise<void>): Promise<void> {
  for (let step = 0; step < ms; step += 1) {
    clock.ms += 1;
    await looked();
  }
}

test('an agent that does not read is not pinged, and is not ended for it', async (t) => {
  const { clock, transport, session, closed, looked } = await setUp(t, { queueLimit: 1 });
  transport.writable = false;
  clock.ms += 10;
  await waitFor(() => transport.sent.length === 1);
  clock.ms += 10;
  await waitFor(() => session.queueLength === 1);
  await looked();
  t.same(closed, []);
  t.equal(session.queueLength, 1);
  const before = transport.sent.length;
  transport.writable = true;
  session.drained();
  await waitFor(() => transport.sent.length === before + 1, { description: 'the ping that waited' });
  clock.ms += 10;
  await waitFor(() => transport.sent.length > before + 1, { description: 'pings to go on' });
});

test('an agent of an old connection is asked once to dial again', async (t) => {
  const { clock, transport, session, closed, looked } = await setUp(t, { maxConnectionAgeMs: 1_000, epoch: 500 });
  clock.ms += 1_000;
  await looked();
  t.notOk(session.leaving, 'its age lies ±10 % around the limit, by its epoch');
  clock.ms += 1;
  await waitFor(() => session.leaving);
  await looked();
  t.equal(transport.sent.filter((frame) => frame === 'reconnect rebalancing 0').length, 1);
  t.same(closed, []);
});

test('operations whose time is over are forgotten', async (t) => {
  const { clock, session, looked } = await setUp(t);
  const inFlight = {
    account: 'a',
    originatingInstanceId: 'i',
    traceparent: '',
    processedTime: 0,
    sentTime: 0,
    sentAt: 0,
  };
  session.deliver('early', new Uint8Array(), { ...inFlight, expiresAt: clock.ms + 1 });
  session.deliver('late', new Uint8Array(), { ...inFlight, expiresAt: clock.ms + 2 });
  clock.ms += 1;
  await looked();
  t.equal(session.take('early'), undefined);
  t.match(session.take('late'), { account: 'a' });
});
