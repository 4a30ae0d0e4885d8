/** A shrunk run with a database that comes and goes. */

import { test } from 'tap';
import { databaseRestarts } from './scenarios/dependencies.js';
import { shortRun } from './short-run.js';

test('the database is restarted', async (t) => {
  await shortRun(t, databaseRestarts, { seed: 1, scale: 0.1 });
});
