/** Turns of replicas over dynamic accounts in SQL: one at a time, every replica, and nothing by whoever lost its claim. */

import fc from 'fast-check';
import type { Test } from 'tap';
import type { TurnOutcome } from '../../../src/store/accounts/account-lifecycle.js';
import { AccountStore } from '../../../src/store/accounts/accounts.js';
import { AccountTurns, type Turn } from '../../../src/store/accounts/account-turns.js';
import { AssignmentStore } from '../../../src/store/assignments/assignments.js';
import { DynamicAccountStore } from '../../../src/store/accounts/dynamic-accounts.js';
import type { Database } from '../../../src/store/sql/database.js';
import { InstanceStore } from '../../../src/store/instances/instances.js';
import { onEveryMigratedEngine } from '../engines.js';
import { account, connection } from '../fixtures.js';

const leaseMs = 60_000;
const signal = AbortSignal.timeout(120_000);

function setUp(database: Database, claimMs = 30_000, retryMs = 0) {
  const turnsOf = (instanceId: string) =>
    new AccountTurns(database, { instanceId, leaseMs, claimMs, maxRetries: 3, retryMs });
  const instances = new InstanceStore(database);
  return {
    accounts: new AccountStore(database),
    dynamic: new DynamicAccountStore(database, { leaseMs }),
    assignments: new AssignmentStore(database, { leaseMs }),
    turnsOf,
    alive: async (...ids: readonly string[]) => {
      for (const id of ids)
        await instances.heartbeat({ id, baseUrl: `http://${id}`, version: 't', agents: 0 }, leaseMs, signal);
    },
  };
}

const fresh = (name: string, zoneId = '') => ({ name, zoneId, definition: `{"name":"${name}"}`, activate: false });
const dynamicAccount = (name: string, dynamicVersion = 1) => ({ ...account(name), dynamicVersion });

const end = async (turns: AccountTurns, turn: Turn, outcome: TurnOutcome) =>
  (await turns.finish(turn, outcome, signal)).status;

/** The turn of an instance, if it can have one now. */
async function turnOf(turns: AccountTurns, name: string): Promise<Turn | undefined> {
  const due = (await turns.due(100, signal)).filter((each) => each.name === name);
  return (await turns.begin(due, signal))[0];
}

onEveryMigratedEngine(async (t: Test, database) => {
  await t.test('accounts are made once, whoever makes them, and left alone where they are already', async (t) => {
    const { dynamic, assignments, accounts } = setUp(database);
    await assignments.claim(connection('agent-1', 'a', 1), [account('own')], signal);
    const made = await Promise.all(['1', '2', '3'].map(() => dynamic.create([fresh('new'), fresh('own')], signal)));
    const losers = made.filter((present) => present.some(({ name }) => name === 'new'));
    t.equal(losers.length, 2, 'one call made it, the others were told that it is there');
    for (const present of made) t.ok(present.some(({ name, dynamic: is }) => name === 'own' && !is));
    t.match(await accounts.find('new'), { status: 'INACTIVE', dynamic: true, failedCount: 0, connections: 0 });
    t.match(await accounts.find('own'), { status: 'ACTIVE', dynamic: false });
    t.match(await dynamic.list({}, '', 10, signal), [{ name: 'new' }], 'only dynamic ones are listed');
    t.same(await dynamic.list({ status: 'ACTIVE' }, '', 10, signal), []);
  });

  await t.test('requests: what is possible is done, the rest is told', async (t) => {
    const { dynamic, assignments, accounts } = setUp(database);
    await assignments.claim(connection('agent-1', 'a', 1), [account('own')], signal);
    await dynamic.create([fresh('one'), fresh('two')], signal);
    const changed = await dynamic.change(
      [
        { name: 'two', request: 'delete' },
        { name: 'own', request: 'deactivate' },
        { name: 'nobody', request: 'activate' },
        { name: 'one', request: 'activate', zoneId: 'z', edit: () => '{"edited":true}' },
      ],
      signal,
    );
    t.same(
      changed.map(({ name, outcome }) => [name, outcome]),
      [
        ['nobody', 'unknown'],
        ['one', 'accepted'],
        ['own', 'not-dynamic'],
        ['two', 'accepted'],
      ],
    );
    t.match(await accounts.find('one'), { status: 'TO_MIGRATE', zoneId: 'z', definition: '{"edited":true}' });
    t.match(await dynamic.change([{ name: 'two', request: 'activate' }], signal), [{ outcome: 'refused' }]);
    const before = (await accounts.find('one'))?.definitionVersion ?? 0;
    await dynamic.change([{ name: 'one', edit: () => '{}' }], signal);
    t.ok(((await accounts.find('one'))?.definitionVersion ?? 0) > before, 'a definition has a version that grows');
  });

  await t.test('activation: one turn at a time, each replica has one, the first agent gives the zone', async (t) => {
    const { dynamic, assignments, accounts, turnsOf, alive } = setUp(database);
    await alive('a', 'b', 'c');
    await dynamic.create([{ ...fresh('acc'), activate: true }], signal);
    const [a, b, c] = [turnsOf('a'), turnsOf('b'), turnsOf('c')] as const;
    const begun = await Promise.all([a, b, c].map((turns) => turnOf(turns, 'acc')));
    const [first, ...none] = begun.filter((turn) => turn !== undefined);
    t.ok(first, 'one of three begins');
    t.same(none, [], 'only one of three that look at the same time');
    t.match(await accounts.find('acc'), { status: 'ACTIVATING' });

    const holder = [a, b, c][begun.indexOf(first)] as AccountTurns;
    const others = [a, b, c].filter((turns) => turns !== holder);
    const refusal = { served: false, message: 'agent x: no way' };
    t.equal(await end(holder, first as Turn, refusal), 'ACTIVATING', 'the others have their turns');
    t.equal(await turnOf(holder, 'acc'), undefined, 'it had its turn');
    const second = await turnOf(others[0] as AccountTurns, 'acc');
    const claimed = await assignments.claim(
      { ...connection('agent-1', 'b', 1), zoneId: 'zone-b' },
      [dynamicAccount('acc', second?.definitionVersion)],
      signal,
    );
    t.equal(claimed.length, 1);
    t.match(await accounts.find('acc'), { status: 'ACTIVE', zoneId: 'zone-b', dynamic: true, connections: 1 });
    t.equal((await accounts.find('acc'))?.errorMessage, undefined, 'what went wrong before is over');
    t.same(
      await assignments.claim(
        { ...connection('agent-2', 'c', 2), zoneId: 'elsewhere' },
        [dynamicAccount('acc')],
        signal,
      ),
      [],
      'an agent of another zone is too late',
    );
    t.equal(await end(others[0] as AccountTurns, second as Turn, { served: true }), 'ACTIVE');
    const third = await turnOf(others[1] as AccountTurns, 'acc');
    t.equal(await end(others[1] as AccountTurns, third as Turn, { served: false }), 'ACTIVE');
    for (const turns of [a, b, c]) t.equal(await turnOf(turns, 'acc'), undefined, 'nothing is left to do');
  });

  await t.test('a failing account is retried three times and keeps its reason', async (t) => {
    const { dynamic, accounts, turnsOf, alive } = setUp(database);
    await database.run((db) => db.deleteFrom('kubesvc_instances').execute());
    await alive('a');
    await dynamic.create([{ ...fresh('bad'), activate: true }], signal);
    const turns = turnsOf('a');
    let attempts = 0;
    for (let turn = await turnOf(turns, 'bad'); turn !== undefined; turn = await turnOf(turns, 'bad')) {
      attempts += 1;
      t.equal(turn.status, 'ACTIVATING');
      t.equal(await end(turns, turn, { served: false, message: 'agent x: no' }), 'FAILED');
      t.match(await accounts.find('bad'), { status: 'FAILED', failedCount: attempts, errorMessage: 'agent x: no' });
    }
    t.equal(attempts, 4, 'once, and three times again');
    await dynamic.change([{ name: 'bad', request: 'activate' }], signal);
    t.match(await accounts.find('bad'), { status: 'TO_MIGRATE', failedCount: 0 }, 'a request starts anew');
    const again = await turnOf(turns, 'bad');
    t.equal(await end(turns, again as Turn, { served: false }), 'FAILED');
    t.match((await accounts.find('bad'))?.errorMessage, /no agent that takes dynamic accounts is connected/u);
  });

  await t.test('orphaned when the last agent goes, active when one comes; never static', async (t) => {
    const { dynamic, assignments, accounts, turnsOf, alive } = setUp(database);
    await alive('a');
    await dynamic.create([{ ...fresh('acc', 'zone'), activate: true }], signal);
    const [one, two] = [connection('agent-1', 'a', 1), connection('agent-2', 'a', 2)];
    for (const agent of [one, two]) await assignments.claim(agent, [dynamicAccount('acc')], signal);
    await assignments.release(one, 'all', signal);
    t.match(await accounts.find('acc'), { status: 'ACTIVE', connections: 1 });
    await assignments.release(two, 'all', signal);
    t.match(await accounts.find('acc'), { status: 'ORPHANED', connections: 0, dynamic: true });
    t.same(await accounts.removeWithoutAgents(0, 10, signal), [], 'the clean-up leaves it');

    await turnsOf('a').join(['acc'], signal);
    const turn = await turnOf(turnsOf('a'), 'acc');
    t.match(turn, { status: 'ORPHANED', aim: 'serve' }, 'an agent came: it is asked');
    await assignments.claim(connection('agent-3', 'a', 3), [dynamicAccount('acc')], signal);
    t.match(await accounts.find('acc'), { status: 'ACTIVE', connections: 1, dynamic: true });
    t.equal(await end(turnsOf('a'), turn as Turn, { served: true }), 'ACTIVE');
  });

  await t.test(
    'deactivation and deletion end when no agent is left, and an agent that comes late is refused',
    async (t) => {
      const { dynamic, assignments, accounts, turnsOf, alive } = setUp(database);
      await alive('a', 'b');
      const agents = [connection('agent-1', 'a', 1), connection('agent-2', 'b', 2)] as const;
      await dynamic.create([{ ...fresh('acc', 'zone'), activate: true }], signal);
      for (const agent of agents) await assignments.claim(agent, [dynamicAccount('acc')], signal);
      await dynamic.change([{ name: 'acc', request: 'deactivate' }], signal);
      const atA = await turnOf(turnsOf('a'), 'acc');
      t.match(atA, { status: 'DEACTIVATING', aim: 'clear' });
      await assignments.release(agents[0], ['acc'], signal);
      t.equal(await end(turnsOf('a'), atA as Turn, { served: false }), 'DEACTIVATING', 'b still serves it');
      t.same(await assignments.claim(connection('agent-3', 'a', 3), [dynamicAccount('acc')], signal), []);
      const atB = await turnOf(turnsOf('b'), 'acc');
      await assignments.release(agents[1], ['acc'], signal);
      t.equal(await end(turnsOf('b'), atB as Turn, { served: false }), 'INACTIVE');

      await dynamic.change([{ name: 'acc', request: 'delete' }], signal);
      const last = await turnOf(turnsOf('a'), 'acc');
      t.equal(await end(turnsOf('a'), last as Turn, { served: false }), 'DELETED');
      t.equal(await accounts.find('acc'), undefined);
      t.same(await assignments.claim(connection('agent-1', 'a', 9), [dynamicAccount('acc')], signal), []);
      t.equal(await accounts.find('acc'), undefined, 'an agent that still has it does not bring it back');
    },
  );

  await t.test('an agent that does not let go: DELETE_FAILED with the reason', async (t) => {
    const { dynamic, assignments, accounts, turnsOf, alive } = setUp(database);
    await alive('a');
    await dynamic.create([{ ...fresh('acc', 'zone'), activate: true }], signal);
    await assignments.claim(connection('agent-1', 'a', 1), [dynamicAccount('acc')], signal);
    await dynamic.change([{ name: 'acc', request: 'delete' }], signal);
    let ends = 0;
    for (;;) {
      const turn = await turnOf(turnsOf('a'), 'acc');
      if (turn === undefined) break;
      ends += 1;
      await end(turnsOf('a'), turn, { served: false, message: 'agent agent-1: busy' });
    }
    t.equal(ends, 4);
    t.match(await accounts.find('acc'), { status: 'DELETE_FAILED', errorMessage: 'agent agent-1: busy' });
  });

  await t.test('whoever lost its claim changes nothing; a dead instance leaves nothing behind', async (t) => {
    const { dynamic, accounts, turnsOf, alive } = setUp(database, 0);
    await alive('a', 'b');
    await dynamic.create([{ ...fresh('acc'), activate: true }], signal);
    const late = await turnOf(turnsOf('a'), 'acc');
    const taken = await turnOf(turnsOf('b'), 'acc');
    t.match(taken, { status: 'ACTIVATING' }, 'the claim was over at once: b goes on');
    t.equal(await end(turnsOf('a'), late as Turn, { served: true }), 'superseded');
    t.match(await accounts.find('acc'), { status: 'ACTIVATING' });

    const { turnsOf: slow } = setUp(database, 1_000_000);
    const held = await turnOf(slow('b'), 'acc');
    t.ok(held);
    t.equal(await turnOf(slow('a'), 'acc'), undefined, 'b has its turn, for long');
    await slow('a').release('b', signal);
    t.ok(await turnOf(slow('a'), 'acc'), 'b is dead, a goes on');
  });

  await t.test('a request during a turn waits for its end, and then counts', async (t) => {
    const { dynamic, accounts, turnsOf, alive } = setUp(database);
    await alive('a');
    await dynamic.create([{ ...fresh('acc'), activate: true }], signal);
    const turn = await turnOf(turnsOf('a'), 'acc');
    await dynamic.change([{ name: 'acc', request: 'deactivate' }], signal);
    t.equal(await turnOf(turnsOf('b'), 'acc'), undefined, 'still its turn');
    t.equal(await end(turnsOf('a'), turn as Turn, { served: true }), 'superseded');
    t.match(await accounts.find('acc'), { status: 'TO_DEACTIVATE' });
    const next = await turnOf(turnsOf('a'), 'acc');
    t.equal(await end(turnsOf('a'), next as Turn, { served: false }), 'INACTIVE');
  });

  await t.test('an instance that dies while the account waits for it is not waited for', async (t) => {
    const { dynamic, turnsOf, alive } = setUp(database);
    await alive('a', 'dead');
    await dynamic.create([{ ...fresh('acc'), activate: true }], signal);
    const turn = await turnOf(turnsOf('a'), 'acc');
    t.equal(await end(turnsOf('a'), turn as Turn, { served: false }), 'ACTIVATING');
    t.equal(await turnOf(turnsOf('a'), 'acc'), undefined, 'the other may still come');
    await database.run((db) => db.deleteFrom('kubesvc_instances').where('id', '=', 'dead').execute());
    const last = await turnOf(turnsOf('a'), 'acc');
    t.equal(await end(turnsOf('a'), last as Turn, { served: false }), 'FAILED');
  });

  await t.test('whatever replicas do in whatever order, no account is in two hands', async (t) => {
    const { dynamic, turnsOf, alive } = setUp(database);
    const ids = ['a', 'b', 'c'];
    await alive(...ids);
    const names = Array.from({ length: 6 }, (_, index) => `acc-${String(index)}`);
    await dynamic.create(
      names.map((name) => ({ ...fresh(name), activate: true })),
      signal,
    );
    const held = new Map<string, string>();
    const outcome = fc.sample(fc.record({ served: fc.boolean(), message: fc.constantFrom(undefined, 'no') }), 400);
    await Promise.all(
      ids.map(async (id, seat) => {
        const turns = turnsOf(id);
        for (let round = 0; round < 25; round += 1) {
          const begun = await turns.begin(await turns.due(3, signal), signal);
          for (const { name } of begun) {
            t.equal(held.get(name), undefined, `${name} is in one hand`);
            held.set(name, id);
          }
          for (const turn of begun) {
            held.delete(turn.name);
            const { served, message } = outcome[(seat * 100 + round) % outcome.length] as TurnOutcome;
            await end(turns, turn, { served, message });
          }
        }
      }),
    );
  });
});
