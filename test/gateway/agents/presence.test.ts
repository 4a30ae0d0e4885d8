/** What a replica writes about its agents: in bulk, and kept while the database does not answer. */

import { test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { silentLogger } from '../../../src/core/logger.js';
import { Presence } from '../../../src/gateway/agents/presence.js';
import { Session } from '../../../src/gateway/agents/session.js';
import type { AgentPresence, AgentRefusal } from '../../../src/store/presence/presence-record.js';
import { TransportDouble } from './session-double.js';

function setUp() {
  const writes: (readonly AgentPresence[])[] = [];
  const refusals: (readonly AgentRefusal[])[] = [];
  const database = { failing: false };
  const clock = { now: 0 };
  const store = {
    write: async (agents: readonly AgentPresence[]) => {
      if (database.failing) throw new GatewayError('dependency-unavailable', 'no database');
      writes.push(agents);
    },
    refused: async (some: readonly AgentRefusal[]) => void refusals.push(some),
  };
  const presence = new Presence({
    ...{ instanceId: 'r1', store, timeoutMs: 1_000, logger: silentLogger },
    now: () => clock.now,
  });
  const session = (agentId: string, epoch: number): Session => {
    const opened = new Session(new TransportDouble(), { maxInFlight: 1, queueLimit: 1 }, () => clock.now);
    opened.registering();
    opened.activate({ agentId, zoneId: 'z', version: '1', epoch, dynamicAccounts: true, kubernetesApi: false });
    return opened;
  };
  return { presence, writes, refusals, database, clock, session };
}

test('10,000 agents that come and leave at once are ten statements', async (t) => {
  const { presence, writes, session } = setUp();
  const lost = new GatewayError('agent-lost', 'the stream broke');
  for (let index = 0; index < 10_000; index += 1) {
    const one = session(`a${String(index)}`, index + 1);
    presence.connected(one);
    presence.left(one, ['x'], lost);
  }
  await presence.flush();
  t.equal(writes.length, 10);
  t.equal(new Set(writes.flat().map(({ agentId }) => agentId)).size, 10_000);
  t.ok(writes.flat().every(({ gone }) => gone?.reason === 'connection lost'));
});

test('an agent with very many accounts has a statement for itself', async (t) => {
  const { presence, writes, session } = setUp();
  const names = Array.from({ length: 15_000 }, (_, index) => `account-${String(index)}`);
  for (const id of ['a', 'b']) presence.left(session(id, 1), names, undefined);
  await presence.flush();
  t.equal(writes.length, 2);
});

test('what could not be written is written later, with the time when it happened', async (t) => {
  const { presence, writes, database, clock, session } = setUp();
  const one = session('a', 1);
  database.failing = true;
  presence.left(one, ['x'], undefined);
  await t.rejects(presence.flush(), { code: 'dependency-unavailable' });
  clock.now = 5_000;
  database.failing = false;
  await presence.flush();
  t.match(writes, [[{ agentId: 'a', instanceId: 'r1', gone: { msAgo: 5_000, reason: 'said goodbye' } }]]);
  await presence.flush();
  t.equal(writes.length, 1, 'once');
});

test('the end of an older stream does not hide the newer one', async (t) => {
  const { presence, writes, session } = setUp();
  const older = session('a', 1);
  presence.connected(session('a', 2));
  presence.left(older, [], new GatewayError('replaced', 'newer'));
  await presence.flush();
  t.match(writes, [[{ epoch: 2 }]]);
  t.equal(writes[0]?.[0]?.gone, undefined);
});

test('why agents left', async (t) => {
  const reasons: [GatewayError | undefined, string, boolean?][] = [
    [undefined, 'said goodbye'],
    [undefined, 'did not return', true],
    [new GatewayError('cancelled', 'the stream was reset'), 'connection lost'],
    [new GatewayError('cancelled', 'on request', { agentId: 'a' }), 'disconnected on request'],
    [new GatewayError('draining', 'bye'), 'instance stopped'],
    [new GatewayError('permission-denied', 'the policy changed'), 'refused'],
    [new GatewayError('invalid-argument', 'nonsense'), 'error'],
  ];
  for (const [error, expected, leaving = false] of reasons) {
    const { presence, writes, session } = setUp();
    const one = session('a', 1);
    one.leaving = leaving;
    presence.left(one, [], error);
    await presence.flush();
    t.equal(writes[0]?.[0]?.gone?.reason, expected);
  }
});

test('refusals are noted once for each agent, but for those that are told to wait', async (t) => {
  const { presence, refusals, session } = setUp();
  presence.refused('a', new GatewayError('permission-denied', 'first'));
  presence.refused('a', new GatewayError('permission-denied', 'second'));
  presence.refused('b', new GatewayError('overloaded', 'later'));
  presence.refused('c'.repeat(10_000), new GatewayError('invalid-argument', 'too long'));
  presence.refused('d', new GatewayError('permission-denied', 'no'));
  presence.connected(session('d', 1));
  await presence.flush();
  t.same(refusals, [[{ agentId: 'a', message: 'second' }]]);
});
