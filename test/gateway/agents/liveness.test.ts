/** Pings, silence, age, and what is forgotten, on a clock of the test's own. */

import { setImmediate as turn } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { Liveness } from '../../../src/gateway/agents/liveness.js';
import type { Registry } from '../../../src/gateway/agents/registry.js';
import { Session } from '../../../src/gateway/agents/session.js';
import { waitFor } from '../../wait.js';
import { frames, TransportDouble } from './session-double.js';

const pingPeriodMs = 5;
const cachesOnMs = 17;

async function setUp(t: Test, { maxConnectionAgeMs = 0, queueLimit = 3, epoch = 1 } = {}) {
  const clock = { ms: 1_000_000 };
  const transport = new TransportDouble();
  const session = new Session(transport, { maxInFlight: 10, queueLimit }, () => clock.ms);
  session.registering();
  session.activate({ agentId: 'agent', zoneId: '', version: '', epoch, dynamicAccounts: false });
  const closed: string[] = [];
  const cachesFor: (number | undefined)[] = [];
  const registry = {
    sessions: new Set([session]),
    closed: (ended: Session, error?: { readonly code: string }, cachesForMs?: number) => {
      closed.push(error?.code ?? '');
      cachesFor.push(cachesForMs);
      ended.close();
    },
  } as unknown as Registry;
  const liveness = new Liveness({
    registry,
    frames,
    pingPeriodMs,
    cachesOnMs,
    maxConnectionAgeMs,
    now: () => clock.ms,
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
  let asked = 0;
  const send = session.send.bind(session);
  session.send = (frame) => {
    asked += 1;
    return send(frame);
  };
  /** Whether every frame that was asked for has gone out. */
  const written = (): boolean => transport.sent.length === asked;
  return { clock, transport, session, closed, cachesFor, looked, written };
}

test('pings count up', async (t) => {
  const { transport } = await setUp(t);
  await waitFor(() => transport.sent.length >= 3);
  t.same(transport.sent.slice(0, 3), ['ping 1', 'ping 2', 'ping 3']);
});

test('an agent that answers pings and falls silent is lost; one that never answered is not', async (t) => {
  const { clock, transport, session, closed, cachesFor, looked, written } = await setUp(t);
  clock.ms += 5 * pingPeriodMs + 1;
  await looked();
  t.same(closed, [], 'it never answered a ping');
  await waitFor(() => {
    // A ping that still waits for the end of its turn would go out at the later time.
    if (!written()) return false;
    session.answersPings = true;
    session.lastHeard = clock.ms;
    clock.ms += 5 * pingPeriodMs;
    return true;
  });
  await looked();
  const pings = transport.sent.length;
  await looked();
  t.same(closed, [], 'not yet');
  t.equal(transport.sent.length, pings, 'but it is pinged no more, so that it gives up before');
  clock.ms += 1;
  await waitFor(() => closed.length > 0);
  t.same(closed, ['agent-lost']);
  t.same(cachesFor, [0], 'by now it has stopped caching');
});

test('an agent that is lost while it is sent operations may go on caching for a while after the last one', async (t) => {
  const { clock, session, closed, cachesFor, looked } = await setUp(t);
  session.answersPings = true;
  clock.ms += 5 * pingPeriodMs;
  await looked();
  session.send(Buffer.from('operation'));
  await turn();
  clock.ms += 1;
  await waitFor(() => closed.length > 0);
  t.same(cachesFor, [cachesOnMs - 1]);
});

test('an agent that does not read is not pinged, and is not ended for it', async (t) => {
  const { transport, session, closed, looked } = await setUp(t, { queueLimit: 1 });
  transport.writable = false;
  await waitFor(() => session.queueLength === 1);
  await looked();
  t.same(closed, []);
  t.equal(session.queueLength, 1);
  const before = transport.sent.length;
  transport.writable = true;
  session.drained();
  await waitFor(() => transport.sent.length > before + 2, { description: 'pings to go on' });
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
  const inFlight = { account: 'a', originatingInstanceId: 'i', traceparent: '', processedTime: 0, sentTime: 0 };
  session.deliver('early', new Uint8Array(), { ...inFlight, expiresAt: clock.ms + 1 });
  session.deliver('late', new Uint8Array(), { ...inFlight, expiresAt: clock.ms + 2 });
  clock.ms += 1;
  await looked();
  t.equal(session.take('early'), undefined);
  t.match(session.take('late'), { account: 'a' });
});
