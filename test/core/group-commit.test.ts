/** Single items in, batches out: order, bounds, failures, and that a lone item waits for nobody. */

import fc from 'fast-check';
import { test } from 'tap';
import { GatewayError } from '../../src/core/errors.js';
import { GroupCommit } from '../../src/core/group-commit.js';
import { waitFor } from '../wait.js';

interface Write {
  readonly items: readonly number[];
  finish(error?: Error): void;
}

/** A writer that finishes a batch when it is told to. */
function setUp(
  options: {
    batchSize?: number;
    queueLimit?: number;
    concurrency?: number;
    batchBytes?: number;
    gatherMs?: number;
  } = {},
) {
  const writes: Write[] = [];
  const commit = new GroupCommit<number, string>({
    ...{ name: 'test', batchSize: 3, queueLimit: 100, bytesOf: (item) => item },
    ...options,
    write: (items) =>
      new Promise((resolve, reject) => {
        const finish = (error?: Error): void => (error === undefined ? resolve(items.map(String)) : reject(error));
        writes.push({ items, finish });
      }),
  });
  return { commit, writes };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('items of one turn are one batch; what comes meanwhile is the next one', async (t) => {
  const { commit, writes } = setUp();
  const first = [commit.add(1), commit.add(2)];
  await turn();
  t.same(writes[0]?.items, [1, 2]);
  const second = [3, 4, 5, 6].map((item) => commit.add(item));
  await turn();
  t.equal(writes.length, 1, 'one batch at a time');
  t.equal(commit.queueLength, 4);
  writes[0]?.finish();
  t.same(await Promise.all(first), ['1', '2'], 'each gets its own outcome');
  await turn();
  t.same(writes[1]?.items, [3, 4, 5], 'no batch is larger than allowed');
  writes[1]?.finish();
  await turn();
  t.same(writes[2]?.items, [6]);
  writes[2]?.finish();
  t.same(await Promise.all(second), ['3', '4', '5', '6']);
});

test('a batch that fails fails its items, and not the next ones', async (t) => {
  const { commit, writes } = setUp({ batchSize: 2 });
  const outcomes = Promise.allSettled([1, 2, 3].map((item) => commit.add(item)));
  await turn();
  writes[0]?.finish(new Error('database is away'));
  await turn();
  writes[1]?.finish();
  t.match(await outcomes, [
    { status: 'rejected', reason: { message: 'database is away' } },
    { status: 'rejected', reason: { message: 'database is away' } },
    { status: 'fulfilled', value: '3' },
  ]);
});

test('the queue is bounded', async (t) => {
  const { commit, writes } = setUp({ batchSize: 1, queueLimit: 2 });
  const written = commit.add(1);
  await turn();
  const queued = [commit.add(2), commit.add(3)];
  await t.rejects(commit.add(4), { code: 'overloaded', details: { retryAfterMs: 1_000 } });
  writes[0]?.finish();
  await written;
  await turn();
  const room = commit.add(5);
  for (let index = 1; index < 4; index += 1) {
    await turn();
    writes[index]?.finish();
  }
  t.same(await Promise.all([...queued, room]), ['2', '3', '5']);
});

test('an item that is refused takes no neighbour of its batch along', async (t) => {
  const written: (readonly number[])[] = [];
  const open = (refused: GatewayError, repeatable: boolean) =>
    new GroupCommit<number, string>({
      ...{ name: 'test', batchSize: 100, queueLimit: 100, repeatable },
      write: (items) => {
        written.push(items);
        if (items.includes(3) || items.includes(7)) return Promise.reject(refused);
        return Promise.resolve(items.map(String));
      },
    });
  const outcomes = async (commit: GroupCommit<number, string>): Promise<string[]> => {
    const settled = await Promise.allSettled([0, 1, 2, 3, 4, 5, 6, 7].map((item) => commit.add(item)));
    return settled.map((each) => (each.status === 'fulfilled' ? each.value : 'refused'));
  };
  const alone = ['0', '1', '2', 'refused', '4', '5', '6', 'refused'];
  for (const code of ['internal', 'too-large'] as const) {
    t.same(await outcomes(open(new GatewayError(code, 'no'), true)), alone);
  }
  t.equal(written.length, 2 * 11, 'in halves');
  const all = Array(8).fill('refused');
  t.same(await outcomes(open(new GatewayError('dependency-unavailable', 'away'), true)), all, 'no row is at fault');
  t.same(await outcomes(open(new GatewayError('internal', 'no'), false)), all, 'what may not be repeated');
  t.equal(written.length, 2 * 11 + 2);
});

test('bytes bound a batch too, but for a single item that has more', async (t) => {
  const { commit, writes } = setUp({ batchSize: 10, batchBytes: 10, concurrency: 10 });
  for (const item of [4, 6, 1, 50, 2]) void commit.add(item);
  for (let n = 0; n < 6; n += 1) await turn();
  t.same(
    writes.map(({ items }) => items),
    [[4, 6], [1], [50], [2]],
  );
  for (const { finish } of writes) finish();
  await commit.idle();
});

test('no more batches than allowed are written at the same time', async (t) => {
  const { commit, writes } = setUp({ batchSize: 1, concurrency: 2 });
  const items = [1, 2, 3].map((item) => commit.add(item));
  for (let n = 0; n < 4; n += 1) await turn();
  t.equal(writes.length, 2);
  writes[1]?.finish();
  t.equal(await items[1], '2', 'the later one may be done first');
  for (let n = 0; n < 2; n += 1) await turn();
  t.same(writes[2]?.items, [3]);
  writes[0]?.finish();
  writes[2]?.finish();
  await Promise.all(items);
});

test('a batch that may gather takes what comes within that time', async (t) => {
  const { commit, writes } = setUp({ batchSize: 10, gatherMs: 20 });
  const items = [commit.add(1)];
  for (let n = 0; n < 3; n += 1) await turn();
  items.push(commit.add(2));
  t.same(writes, []);
  await waitFor(() => writes.length > 0);
  t.same(writes[0]?.items, [1, 2]);
  writes[0]?.finish();
  t.same(await Promise.all(items), ['1', '2']);
});

test('idle() waits for all that was added', async (t) => {
  const { commit, writes } = setUp({ batchSize: 1 });
  await commit.idle();
  const outcomes = [commit.add(1), commit.add(2)];
  let idle = false;
  const waiting = commit.idle().then(() => (idle = true));
  await turn();
  writes[0]?.finish();
  await turn();
  t.notOk(idle);
  writes[1]?.finish();
  await waiting;
  t.same(await Promise.all(outcomes), ['1', '2']);
});

test('whatever the sizes and times, every item is written once and gets its own outcome', async (t) => {
  const sizes = fc.record({ batchSize: fc.integer({ min: 1, max: 5 }), concurrency: fc.integer({ min: 1, max: 3 }) });
  const bursts = fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 6 });
  const property = fc.asyncProperty(sizes, bursts, async ({ batchSize, concurrency }, counts) => {
    const written: number[] = [];
    let [running, most] = [0, 0];
    const commit = new GroupCommit<number, string>({
      ...{ name: 'test', batchSize, concurrency, queueLimit: 1_000 },
      write: async (items) => {
        most = Math.max(most, (running += 1));
        if (items.length > batchSize) throw new Error('too large');
        await turn();
        written.push(...items);
        running -= 1;
        return items.map(String);
      },
    });
    const outcomes: Promise<string>[] = [];
    for (const count of counts) {
      for (let n = 0; n < count; n += 1) outcomes.push(commit.add(outcomes.length));
      await turn();
    }
    const expected = outcomes.map((_, item) => item);
    const got = await Promise.all(outcomes);
    await commit.idle();
    const once = written.toSorted((a, b) => a - b).join() === expected.join();
    return once && got.join() === expected.map(String).join() && most <= concurrency;
  });
  await t.resolves(fc.assert(property, { numRuns: 50 }));
});
