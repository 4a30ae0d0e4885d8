/** History is purged in bounded batches, by one replica at a time, and another one goes on when that dies. */

import { test } from 'tap';
import { silentLogger } from '../../../src/core/logger.js';
import { purgeHistory, type RetentionOptions } from '../../../src/gateway/operations/retention.js';
import { openDatabase } from '../../../src/store/sql/database.js';
import { LockStore } from '../../../src/store/instances/locks.js';
import { migrate } from '../../../src/store/migrations/migrate.js';
import { OperationStore } from '../../../src/store/operations/operations.js';
import { limits } from '../../store/engines.js';
import { finished } from '../../store/fixtures.js';
import { waitFor } from '../../wait.js';

const weekMs = 7 * 24 * 3_600_000;

test('the purge of history', async (t) => {
  const database = openDatabase({ url: 'pglite:memory', ...limits });
  t.teardown(() => database.close());
  await migrate(database, { logger: silentLogger, signal: AbortSignal.timeout(120_000) });
  const operations = new OperationStore(database);
  const locks = new LockStore(database);
  const fill = async (old: number, recent: number): Promise<void> => {
    const of = (count: number, ageMs: number) =>
      Array.from({ length: count }, (_, index) =>
        finished(`${ageMs > weekMs ? 'old' : 'new'}-${String(index)}`, { startTime: Date.now() - ageMs }),
      );
    await operations.finish([...of(old, weekMs + 60_000), ...of(recent, weekMs - 60_000)]);
  };
  const left = async (): Promise<string[]> =>
    (await operations.list({ items: 500, page: 0 })).map(({ operationId }) => operationId);
  const run = (instanceId: string, options: Partial<RetentionOptions> = {}) => {
    const stop = new AbortController();
    const batches: number[] = [];
    const ended = purgeHistory(
      {
        ...{ instanceId, operations, locks, weeks: 1, schedule: undefined, logger: silentLogger, now: Date.now },
        purged: (count) => void batches.push(count),
        ...options,
        settings: { periodMs: 20, batchSize: 10, pauseMs: 1, lockMs: 500, ...options.settings },
      },
      stop.signal,
    );
    return {
      batches,
      stop: async () => {
        stop.abort();
        await ended;
      },
    };
  };

  await t.test('what is older than its weeks goes, in batches, whichever replica does it', async (t) => {
    await fill(45, 5);
    const replicas = ['one', 'two', 'three'].map((id) => run(id));
    await waitFor(async () => (await left()).length <= 5, { description: 'the old ones to be gone' });
    await Promise.all(replicas.map((replica) => replica.stop()));
    t.same((await left()).sort(), ['new-0', 'new-1', 'new-2', 'new-3', 'new-4'], 'what is younger stays');
    const batches = replicas.flatMap((replica) => replica.batches);
    t.ok(Math.max(...batches) <= 10, 'no batch is larger than its bound');
    t.equal(
      batches.reduce((sum, count) => sum + count, 0),
      45,
      'each record was deleted once',
    );
  });

  await t.test('a replica whose clock is eight days ahead purges nothing that the others need', async (t) => {
    await fill(5, 5);
    const ahead = run('ahead', { now: () => Date.now() + weekMs + 24 * 3_600_000 });
    await waitFor(() => ahead.batches.length > 0, { description: 'the old ones to go' });
    await ahead.stop();
    t.same((await left()).filter((id) => id.startsWith('new')).length, 5);
    t.same(ahead.batches, [5]);
  });

  await t.test('a replica that dies half-way is followed by another', async (t) => {
    await fill(30, 0);
    // It has the lock, has deleted a part, and says nothing any more.
    t.ok(await locks.acquire('operation-history-purge', 'dead', 500));
    await operations.purge(weekMs, 10);
    const survivor = run('survivor');
    await waitFor(async () => !(await left()).some((id) => id.startsWith('old')), { description: 'the rest to go' });
    await survivor.stop();
    t.ok(survivor.batches.length > 0, 'it did the rest');
  });

  await t.test('with a schedule it is done at its times only', async (t) => {
    await fill(15, 0);
    let time = Date.now();
    const due = time + 1_000;
    const asked: number[] = [];
    const scheduled = run('scheduled', {
      // Time passes when the test says so: the wait before the first due time ends with the next look at the clock.
      now: () => time,
      schedule: { next: (after) => (asked.push(after), after < due ? due : undefined) },
      weeks: 1,
      settings: { periodMs: 1 },
    });
    await waitFor(() => asked.length === 1);
    t.same(scheduled.batches, [], 'nothing before it is due');
    await scheduled.stop();
    time = due;
    let times = 0;
    const now = run('now', { now: () => time, schedule: { next: () => (times++ === 0 ? due : undefined) } });
    await waitFor(() => now.batches.length === 2, { description: 'the purge when it is due' });
    await now.stop();
    t.same(now.batches, [10, 5]);
    t.notOk((await left()).some((id) => id.startsWith('old')));
  });
});
