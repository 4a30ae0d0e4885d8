/** Who is connected, who has left, and who has come in their place, on every engine. */

import { AssignmentStore } from '../../../src/store/assignments/assignments.js';
import { InstanceStore } from '../../../src/store/instances/instances.js';
import type { AgentPresence } from '../../../src/store/presence/presence-record.js';
import { PresenceStore } from '../../../src/store/presence/presence.js';
import { waitFor } from '../../wait.js';
import { onEveryMigratedEngine } from '../engines.js';
import { accounts, connection } from '../fixtures.js';

const leaseMs = 60_000;
const signal = AbortSignal.timeout(300_000);

function agent(agentId: string, epoch: number, change: Partial<AgentPresence> = {}): AgentPresence {
  return {
    ...{
      agentId,
      epoch,
      zoneId: 'zone',
      version: '1',
      instanceId: 'r1',
      accounts: [`of-${agentId}`],
      connectedMsAgo: 60_000,
    },
    ...change,
  };
}

const gone = { msAgo: 1_000, reason: 'connection lost', message: 'silent' } as const;

onEveryMigratedEngine(async (t, database) => {
  const instances = new InstanceStore(database);
  const assignments = new AssignmentStore(database, { leaseMs });
  const store = new PresenceStore(database, { leaseMs, graceMs: 0 });
  const heartbeat = (id: string, forMs = leaseMs) =>
    instances.heartbeat({ id, baseUrl: `http://${id}`, version: '1', agents: 0 }, forMs);
  const offline = async () => (await store.offline(signal)).agents;
  t.beforeEach(() => database.run((db) => db.deleteFrom('kubesvc_agents').execute()));

  await t.test('the newer connection wins, in any order', async (t) => {
    await store.write([agent('a', 2, { instanceId: 'r2' })], signal);
    await store.write([agent('a', 1, { gone })], signal);
    t.same(await offline(), [], 'the end of the older stream changes nothing');
    await store.write([agent('a', 2, { instanceId: 'r2', gone })], signal);
    t.match(await offline(), [
      { agentId: 'a', instanceId: 'r2', reason: 'connection lost', message: 'silent', accounts: ['of-a'] },
    ]);
    await store.write([agent('a', 2, { instanceId: 'r2' })], signal);
    t.same(await offline(), [], 'it was only a moment');
  });

  await t.test('2,000 agents in one statement, and an account that another agent serves', async (t) => {
    await heartbeat('r1');
    const many = Array.from({ length: 2_000 }, (_, index) => agent(`a${String(index)}`, index + 1, { gone }));
    await store.write(many, signal);
    await assignments.claim(connection('b', 'r1', 5_000), accounts('of-a7'), signal);
    await assignments.claim(connection('a8', 'r1', 5_001), accounts('of-a8'), signal);
    const { agents, accounts: left, truncated } = await store.offline(signal);
    t.equal(agents.length, 1_999, 'an agent with an assignment is connected, whatever its row says');
    t.equal(left.length, 1_998);
    t.notOk(left.some(({ name }) => name === 'of-a7'));
    t.notOk(truncated);
  });

  await t.test('a pod with another name takes the place of the one that left first', async (t) => {
    await store.write([agent('old-1', 1, { gone: { ...gone, msAgo: 20_000 } })], signal);
    await store.write([agent('old-2', 2, { gone: { ...gone, msAgo: 10_000 } })], signal);
    await store.write([agent('before', 3), agent('other', 4, { zoneId: 'elsewhere', connectedMsAgo: 5_000 })], signal);
    t.strictSame(
      (await offline()).map(({ replacedBy }) => replacedBy),
      [undefined, undefined],
    );
    await store.write([agent('new', 5, { connectedMsAgo: 5_000 })], signal);
    t.match(await offline(), [{ agentId: 'old-1', replacedBy: 'new' }, { agentId: 'old-2' }]);
    t.equal((await offline())[1]?.replacedBy, undefined, 'one for one');
  });

  await t.test('agents without accounts are listed with the others', async (t) => {
    await heartbeat('r1');
    await assignments.claim(connection('m', 'r1', 1), accounts('x'), signal);
    await store.write([agent('z', 2, { accounts: [] }), agent('a', 3, { accounts: [] })], signal);
    await store.write(
      [agent('lost', 4, { accounts: [], instanceId: 'dead' }), agent('m', 1, { accounts: [] })],
      signal,
    );
    const ids: string[] = [];
    for await (const { agentId } of assignments.list({}, signal)) ids.push(agentId);
    t.strictSame(ids, ['a', 'm', 'z']);
  });

  await t.test('an instance is lost: its agents are offline since its last sign of life', async (t) => {
    await heartbeat('r9');
    await store.write([agent('a', 1, { instanceId: 'r9' }), agent('b', 2, { instanceId: 'r9', gone })], signal);
    const short = new PresenceStore(database, { leaseMs: 1, graceMs: 1 });
    await waitFor(async () => (await short.offline(signal)).agents.length === 2);
    const [lost] = await instances.lost(1, signal);
    const before = (await short.offline(signal)).agents[0];
    t.match(
      before,
      { agentId: 'a', reason: 'instance lost', goneTime: lost?.lastHeartbeatTime },
      'before it is reaped',
    );
    await store.instanceGone('r9', signal);
    t.match(await offline(), [before, { agentId: 'b', reason: 'connection lost' }], 'and after that');
    t.ok(await instances.reaped('r9', 1, signal));
    t.same(await instances.expired(1, signal), [], 'nobody reaps it again');
    t.match(await instances.lost(1, signal), [{ id: 'r9' }], 'it stays known');
    await heartbeat('r9', 1);
    t.same(await instances.lost(leaseMs, signal), [], 'until it is back');
    await waitFor(async () => (await instances.expired(1, signal)).length === 1, {
      description: 'it to be reaped again',
    });
    await instances.reaped('r9', 1, signal);
    t.equal(await instances.forgetLost({ id: 'r9' }, 1, signal), 1);
    t.same(await instances.lost(1, signal), []);
  });

  await t.test('refused and forgotten', async (t) => {
    await store.write(
      [agent('a', 1, { gone }), agent('b', 2), agent('old', 3, { gone: { ...gone, msAgo: 90_000 } })],
      signal,
    );
    await store.refused(
      ['a', 'b', 'stranger'].map((agentId) => ({ agentId, message: `${agentId} may not\0` })),
      signal,
    );
    t.match((await offline())[0], { agentId: 'a', reason: 'refused', message: 'a may not\uFFFD' });
    t.equal(await store.knows('stranger', signal), false, 'a stranger leaves no row');
    t.equal(await store.forget('b', signal), false, 'it is connected');
    t.equal(await store.forgetOld(60_000, 500, signal), 1);
    t.equal(await store.forget('a', signal), true);
    t.same(await offline(), []);
    t.equal(await store.knows('b', signal), true);
  });
});
