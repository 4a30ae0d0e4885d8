/** Shrunk runs with a Redis and a database that come and go. */

import { test } from 'tap';
import { databaseRestarts, redisFlapping } from './scenarios/dependencies.js';
import { shortRun } from './short-run.js';

test('Redis goes up and down', async (t) => {
  await shortRun(t, redisFlapping, { seed: 1, scale: 0.1 });
});

test('the database is restarted', async (t) => {
  await shortRun(t, databaseRestarts, { seed: 1, scale: 0.1 });
});
