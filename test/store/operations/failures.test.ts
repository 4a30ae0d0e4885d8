/** Which accounts' operations fail, since when and why, on every engine. */

import type { FinalOutcome, FinishedOperation } from '../../../src/store/operations/operation-record.js';
import { OperationStore } from '../../../src/store/operations/operations.js';
import { endedOperation } from '../../console/history.js';
import { onEveryMigratedEngine } from '../engines.js';

const minute = 60_000;
const now = Date.now();

/** Operations of one account, of which the last one started most recently, a second after the one before. */
function series(account: string, outcomes: readonly FinalOutcome[], lastStart = now - minute): FinishedOperation[] {
  return outcomes.map((finalOutcome, index) =>
    endedOperation({
      startTime: lastStart - (outcomes.length - 1 - index) * 1_000,
      account,
      finalOutcome,
      ...(finalOutcome === 'completed' ? {} : { errorMessage: `${finalOutcome} ${String(index)}` }),
    }),
  );
}

const times = <Value>(count: number, value: Value): Value[] => Array.from({ length: count }, () => value);

onEveryMigratedEngine(async (t, database) => {
  const store = new OperationStore(database);

  await t.test('accounts whose operations fail, those with the most first', async (t) => {
    const failing = series('failing', ['completed', 'failed', 'timed out', 'cancelled']);
    const working = series('working', ['agent lost', 'completed']);
    const always = series('always', times(30, 'failed'));
    const old = series('old', ['failed'], now - 61 * minute);
    const earlier = series('earlier', ['failed', 'completed'], now - 20 * minute);
    await store.note([...failing, ...working, ...always, ...old, ...earlier, ...series('good', ['completed'])]);
    const { accounts, total, more } = await store.failures();
    t.equal(total, 4);
    t.equal(more, false);
    const lastOf = (records: readonly FinishedOperation[], index: number) => {
      const { operationId, startTime: time, finalOutcome: outcome, errorMessage: message } = records[index] ?? {};
      return { operationId, time, outcome, message };
    };
    const counts = (last15Minutes: number, lastHour: number) => ({ last15Minutes, lastHour });
    const since = (records: readonly FinishedOperation[], index: number) => ({ since: records[index]?.startTime });
    const known = { orEarlier: false };
    t.strictSame(accounts, [
      { account: 'always', ...counts(30, 30), ongoing: true, ...since(always, 0), ...known, last: lastOf(always, 29) },
      { account: 'failing', ...counts(2, 2), ongoing: true, ...since(failing, 1), ...known, last: lastOf(failing, 2) },
      { account: 'working', ...counts(1, 1), ongoing: false, ...since(working, 0), ...known, last: lastOf(working, 0) },
      { account: 'earlier', ...counts(0, 1), ongoing: false, ...since(earlier, 0), ...known, last: lastOf(earlier, 0) },
    ]);
  });

  await t.test('an account that fails for longer than is looked back says so', async (t) => {
    await store.note(series('long', times(1_001, 'failed')));
    const [account] = (await store.failures()).accounts;
    t.match(account, { account: 'long', ongoing: true, orEarlier: true, lastHour: 1_001 });
    t.equal(account?.since, now - minute - 999 * 1_000);
  });

  await t.test('a last failure behind many completed ones is still named', async (t) => {
    const records = series('busy', ['failed', ...times<FinalOutcome>(300, 'completed')]);
    await store.note(records);
    const [account] = (await store.failures()).accounts;
    t.match(account, { account: 'busy', ongoing: false, since: records[0]?.startTime, last: { message: 'failed 0' } });
  });

  await t.test('a refusal stands for as many requests as it counts', async (t) => {
    await store.countRefusals([
      endedOperation({
        startTime: now - minute,
        account: 'refused',
        finalOutcome: 'refused',
        reason: 'no-agent',
        count: 7,
      }),
    ]);
    t.match((await store.failures()).accounts, [{ account: 'refused', last15Minutes: 7, lastHour: 7, ongoing: true }]);
  });

  await t.test('nothing fails', async (t) => {
    t.strictSame(await store.failures(), { accounts: [], total: 0, more: false });
  });
});
