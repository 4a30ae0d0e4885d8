/** A shrunk rolling restart; how long operations take depends on the machine and is for the long run. */

import { test } from 'tap';
import { rollingRestart } from './scenarios/rolling-restart.js';
import { shortRun } from './short-run.js';

test('every replica is restarted in turn', async (t) => {
  const { failures } = await shortRun(t, rollingRestart, { seed: 1, scale: 0.1 });
  t.same(
    failures.filter((failure) => !failure.startsWith('p99')),
    [],
    'no operation fails, and agents spread again',
  );
});
