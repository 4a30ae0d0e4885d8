/**
 * Ownership against a model: any order of claims, releases, late writes and dead instances leaves in SQL what a few
 * lines of plain code say, and the invariants of the contract hold after every step.
 */

import fc from 'fast-check';
import { test } from 'tap';

import { silentLogger } from '../../../src/core/logger.js';
import { AssignmentStore } from '../../../src/store/assignments/assignments.js';
import { openDatabase } from '../../../src/store/sql/database.js';
import { InstanceStore } from '../../../src/store/instances/instances.js';
import { migrate } from '../../../src/store/migrations/migrate.js';
import type { Assignment, Ownership } from '../../../src/store/assignments/ownership.js';
import { accounts, connection } from '../fixtures.js';
import { limits } from '../engines.js';

const leaseMs = 600_000;
const signal = AbortSignal.timeout(120_000);
const names = ['a', 'b', 'c'];
const agents = ['x', 'y', 'z'];
const instanceIds = ['alive-1', 'alive-2', 'dead'];

type Model = Map<string, Assignment[]>;

/** Whose agent may still be caching although its stream broke, by account; the time is over, or it is not. */
type Holds = Map<string, { readonly agentId: string; over: boolean }>;

const runningHold = (holds: Holds, name: string): string | undefined => {
  const hold = holds.get(name);
  return hold === undefined || hold.over ? undefined : hold.agentId;
};

/** A connection is told by its number: agent and instance follow from it, so that none is ever two. */
const linkOf = (epoch: number) => connection(agents[epoch % 3] ?? 'x', instanceIds[(epoch >> 2) % 3] ?? 'dead', epoch);

function claimInModel(model: Model, holds: Holds, epoch: number, claimed: readonly string[]): void {
  const { agentId, instanceId } = linkOf(epoch);
  for (const name of claimed) {
    const others = (model.get(name) ?? []).filter((assignment) => assignment.agentId !== agentId);
    const mine = (model.get(name) ?? []).find((assignment) => assignment.agentId === agentId);
    if (mine !== undefined && mine.epoch >= epoch) continue;
    const free = (runningHold(holds, name) ?? agentId) === agentId;
    const caching = free && !others.some((other) => other.caching);
    if (caching) holds.delete(name);
    model.set(name, [...others, { agentId, instanceId, epoch, caching }]);
  }
}

function elected(list: readonly Assignment[]): Assignment[] {
  const byRank = list.toSorted(
    (a, b) => Number(a.instanceId === 'dead') - Number(b.instanceId === 'dead') || a.epoch - b.epoch,
  );
  const heir = list.some(({ caching }) => caching) ? undefined : byRank[0];
  return list.map((each) => (each === heir ? { ...each, caching: true } : each));
}

function releaseInModel(
  model: Model,
  holds: Holds,
  stopped: boolean,
  gone: (assignment: Assignment, name: string) => boolean,
): string[] {
  const changed: string[] = [];
  for (const [name, list] of model) {
    const kept = list.filter((assignment) => !gone(assignment, name));
    if (kept.length === list.length) continue;
    changed.push(name);
    const cacher = list.find((assignment) => assignment.caching && !kept.includes(assignment));
    if (cacher !== undefined && !stopped) holds.set(name, { agentId: cacher.agentId, over: false });
    model.set(name, runningHold(holds, name) === undefined ? elected(kept) : kept);
  }
  return changed;
}

function electInModel(model: Model, holds: Holds): string[] {
  const ended = [...holds].filter(([, { over }]) => over).map(([name]) => name);
  for (const name of ended) model.set(name, elected(model.get(name) ?? []));
  return ended;
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('claim' as const), epoch: fc.integer({ min: 1, max: 30 }), names: fc.subarray(names) }),
  fc.record({
    kind: fc.constant('release' as const),
    epoch: fc.integer({ min: 1, max: 30 }),
    names: fc.subarray(names),
    stopped: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('release-all' as const),
    epoch: fc.integer({ min: 1, max: 30 }),
    stopped: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('time' as const) }),
  fc.record({ kind: fc.constant('elect' as const) }),
  fc.record({ kind: fc.constant('told' as const) }),
  fc.record({ kind: fc.constant('instance' as const), id: fc.constantFrom(...instanceIds) }),
);

test('SQL and the model agree after every step', async (t) => {
  const database = openDatabase({ ...limits, url: 'pglite:memory' });
  t.teardown(() => database.close());
  await migrate(database, { logger: silentLogger, signal });
  const store = new AssignmentStore(database, { leaseMs });
  const instances = new InstanceStore(database);
  for (const id of ['alive-1', 'alive-2'])
    await instances.heartbeat({ id, baseUrl: 'http://x', version: '1', agents: 0 }, leaseMs);

  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      await database.run((db) => db.deleteFrom('kubesvc_assignments').execute());
      await database.run((db) => db.updateTable('kubesvc_accounts').set({ caching_free_time: 0 }).execute());
      const model: Model = new Map();
      const holds: Holds = new Map();
      let before = await store.find(names);
      for (const action of steps) {
        let answer: readonly Ownership[];
        let expected: string[];
        if (action.kind === 'claim') {
          answer = await store.claim(linkOf(action.epoch), accounts(...action.names), signal);
          claimInModel(model, holds, action.epoch, action.names);
          expected = action.names;
        } else if (action.kind === 'instance') {
          answer = await store.releaseInstance(action.id, 10, signal);
          const dead = ({ instanceId }: Assignment): boolean => instanceId === 'dead';
          expected = action.id === 'dead' ? releaseInModel(model, holds, true, dead) : [];
        } else if (action.kind === 'time') {
          answer = [];
          expected = [];
          for (const hold of holds.values()) hold.over = true;
          await database.run((db) =>
            db
              .updateTable('kubesvc_accounts')
              .set({ caching_free_time: 1 })
              .where('caching_free_time', '>', 0)
              .execute(),
          );
        } else if (action.kind === 'elect') {
          answer = await store.electCachers(10, signal);
          expected = electInModel(model, holds);
        } else if (action.kind === 'told') {
          answer = [];
          expected = [];
          // Whoever says so has elected before.
          for (const ownership of await store.electCachers(10, signal))
            await store.electionTold([ownership.account], signal);
          for (const name of electInModel(model, holds)) holds.delete(name);
        } else {
          const list = action.kind === 'release' ? action.names : names;
          const accounts = action.kind === 'release' ? list : 'all';
          answer = await store.release(linkOf(action.epoch), accounts, signal, action.stopped ? 0 : leaseMs);
          expected = releaseInModel(
            model,
            holds,
            action.stopped,
            ({ epoch }, name) => epoch === action.epoch && list.includes(name),
          );
        }
        const after = await store.find(names);
        agree(model, before, after, answer, expected);
        for (const [name, { assignments }] of after) oneCaches(name, assignments, holds);
        before = after;
      }
    }),
    { numRuns: 60, interruptAfterTimeLimit: 30_000 },
  );
  t.pass();
});

function agree(
  model: Model,
  before: ReadonlyMap<string, Ownership>,
  after: ReadonlyMap<string, Ownership>,
  answer: readonly Ownership[],
  expected: readonly string[],
): void {
  same(answer.map(({ account }) => account).toSorted(), expected.toSorted(), 'accounts of the answer');
  for (const ownership of answer) same(ownership, after.get(ownership.account), 'the answer is what is stored');
  for (const [name, ownership] of after) {
    const wanted = (model.get(name) ?? []).toSorted((a, b) => (a.agentId < b.agentId ? -1 : 1));
    same(ownership.assignments, wanted, `assignments of ${name}`);
    const earlier = before.get(name);
    if (earlier === undefined) continue;
    const changed = JSON.stringify(earlier.assignments) !== JSON.stringify(ownership.assignments);
    same(ownership.version, earlier.version + (changed ? 1 : 0), `version of ${name}`);
  }
}

/** Never two; nobody only where there is nobody, or where the one who did may still be at it or is to be elected. */
function oneCaches(name: string, assignments: readonly Assignment[], holds: Holds): void {
  const caching = assignments.filter((assignment) => assignment.caching);
  const least = assignments.length === 0 || holds.has(name) ? 0 : 1;
  if (caching.length > 1 || caching.length < least) throw new Error(`${caching.length} cache ${name}`);
  const held = runningHold(holds, name);
  if (held !== undefined && caching.length > 0) throw new Error(`${name} is cached while it is held for ${held}`);
}

function same(actual: unknown, wanted: unknown, what: string): void {
  const [left, right] = [actual, wanted].map((value) => JSON.stringify(value));
  if (left !== right) throw new Error(`${what}: ${String(left)} instead of ${String(right)}`);
}
