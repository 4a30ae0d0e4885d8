/** Cron expressions as Spring has them. */

import { test } from 'tap';
import { parseCron } from '../../../src/gateway/config/cron.js';

test('the next time of an expression, in UTC', (t) => {
  const after = Date.UTC(2026, 2, 2);
  for (const [expression, next] of [
    ['0 0 0 * * 0', '2026-03-08T00:00:00.000Z'],
    ['0 0 0 * * 7', '2026-03-08T00:00:00.000Z'],
    ['0 30 3 ? * MON-FRI', '2026-03-02T03:30:00.000Z'],
    // Both the day of the month and that of the week.
    ['0 0 0 13 * FRI', '2026-03-13T00:00:00.000Z'],
    ['0 0 0 14 * FRI', '2026-08-14T00:00:00.000Z'],
    ['*/10 * * * * *', '2026-03-02T00:00:10.000Z'],
    ['0 0 0 L * *', '2026-03-31T00:00:00.000Z'],
    ['0 0 0 ? * 5#2', '2026-03-13T00:00:00.000Z'],
    ['@weekly', '2026-03-08T00:00:00.000Z'],
  ] as const)
    t.equal(new Date(parseCron(expression).next(after) ?? 0).toISOString(), next, expression);
  for (const expression of ['', 'never', '0 0 * * 0', '0 0 0 31 2 *', '0 0 25 * * *'])
    t.throws(() => parseCron(expression), `"${expression}"`);
  t.end();
});
