/** The in-process mirror: versions decide, reloads remove what vanished, and a million accounts fit. */

import { deepStrictEqual } from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { test } from 'tap';
import { OwnershipMap } from '../../../src/store/mirror/ownership-map.js';
import type { Assignment, Ownership } from '../../../src/store/assignments/ownership.js';

function assignment(epoch: number, caching = true): Assignment {
  return { agentId: `agent-${epoch}`, instanceId: `gateway-${epoch % 3}`, epoch, caching };
}

function ownership(account: string, version: number, ...assignments: Assignment[]): Ownership {
  return { account, version, assignments };
}

test('an older version never replaces a newer one', (t) => {
  const map = new OwnershipMap();
  t.ok(map.set(ownership('a', 2, assignment(7))));
  t.notOk(map.set(ownership('a', 1, assignment(6))));
  t.notOk(map.set(ownership('a', 2, assignment(6))));
  t.equal(map.get('a')?.assignments[0]?.epoch, 7);
  t.ok(map.set(ownership('a', 3)));
  t.strictSame(map.get('a')?.assignments, []);
  t.notOk(map.remove('a', 2), 'a removal that is older than what is known');
  t.ok(map.remove('a', 3));
  t.equal(map.get('a'), undefined);
  t.end();
});

test('accounts of one connection share their assignment', (t) => {
  const map = new OwnershipMap();
  for (const account of ['a', 'b']) map.set(ownership(account, 1, assignment(1), assignment(2, false)));
  map.set(ownership('c', 1, assignment(1)));
  t.equal(map.get('a')?.assignments[0], map.get('b')?.assignments[0]);
  t.equal(map.get('a')?.assignments[1], map.get('b')?.assignments[1]);
  t.equal(map.get('a')?.assignments[0], map.get('c')?.assignments[0]);
  map.set(ownership('d', 1, assignment(1, false)));
  t.strictSame(map.get('d')?.assignments, [assignment(1, false)]);
  t.strictSame(map.get('a')?.assignments, [assignment(1), assignment(2, false)]);
  t.end();
});

test('listeners hear of changes, with what was before, and of nothing else', (t) => {
  const map = new OwnershipMap();
  const heard: unknown[] = [];
  const end = map.onChange((now, before) =>
    heard.push([now.account, now.version, before?.version, now.assignments.length]),
  );
  map.set(ownership('a', 1, assignment(1)));
  map.set(ownership('a', 1, assignment(1)));
  map.set(ownership('a', 2));
  const wrong = map.drop('a');
  map.set(ownership('a', 2), wrong);
  map.remove('a');
  end();
  map.set(ownership('a', 9));
  t.strictSame(heard, [
    ['a', 1, undefined, 1],
    ['a', 2, 1, 0],
    ['a', 2, 2, 0],
  ]);
  t.end();
});

test('a reload removes what it did not see, and keeps what came meanwhile', async (t) => {
  const map = new OwnershipMap();
  for (const account of ['kept', 'vanished', 'changed']) map.set(ownership(account, 5, assignment(1)));
  const reload = map.beginReload();
  t.throws(() => map.beginReload(), 'one at a time');
  reload.add(ownership('kept', 4, assignment(2)));
  reload.add(ownership('new', 1, assignment(2)));
  map.set(ownership('changed', 6, assignment(3)));
  map.set(ownership('born', 1, assignment(3)));
  t.equal(await reload.commit(), 1);
  reload.end();
  t.equal(map.get('vanished'), undefined);
  t.equal(map.get('kept')?.version, 5);
  t.equal(map.get('changed')?.version, 6);
  t.equal(map.size, 4);
});

test('whatever order, loss and repetition changes arrive with, a reload ends at the truth', async () => {
  const step = fc.record({
    account: fc.integer({ min: 0, max: 5 }).map((n) => `account-${n}`),
    assignments: fc
      .uniqueArray(fc.integer({ min: 1, max: 4 }), { maxLength: 3 })
      .map((epochs) => epochs.map((epoch) => assignment(epoch, epoch % 2 === 0))),
    copies: fc.integer({ min: 0, max: 2 }),
    position: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const truth = new Map<string, Ownership>();
      const messages: Ownership[] = [];
      for (const { account, assignments, copies, position } of steps) {
        const next = ownership(account, (truth.get(account)?.version ?? 0) + 1, ...assignments);
        truth.set(account, next);
        for (let copy = 0; copy < copies; copy += 1) messages.splice(position % (messages.length + 1), 0, next);
      }
      const map = new OwnershipMap();
      const third = Math.ceil(messages.length / 3);
      for (const message of messages.slice(0, third)) map.set(message);
      const reload = map.beginReload();
      for (const message of messages.slice(third, 2 * third)) map.set(message);
      for (const entry of truth.values()) reload.add(entry);
      for (const message of messages.slice(2 * third)) map.set(message);
      await reload.commit();
      reload.end();
      const held = [...truth.keys()].map((account) => map.get(account));
      deepStrictEqual(held, [...truth.values()]);
      deepStrictEqual(map.size, truth.size);
    }),
    { numRuns: 200 },
  );
});

test('a million accounts take no more than 300 bytes each', (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const accounts = 1_000_000;
  const map = new OwnershipMap();
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < accounts; index += 1) {
    // As a driver delivers it: every account with objects and strings of its own; versions begin at a time in ms.
    const row = JSON.stringify(
      ownership(`cluster-production-account-${index}`, 1_764_000_000_000 + (index % 9), assignment(index % 50_000)),
    );
    map.set(JSON.parse(row) as Ownership);
  }
  collect();
  const bytes = (process.memoryUsage().heapUsed - before) / accounts;
  t.comment(`${bytes.toFixed(0)} bytes per account`);
  t.equal(map.size, accounts);
  t.ok(bytes <= 300, `${bytes.toFixed(0)} bytes per account`);
  t.end();
});
