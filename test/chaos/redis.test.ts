/** A shrunk run with a Redis that comes and goes. */

import { test } from 'tap';
import { redisFlapping } from './scenarios/dependencies.js';
import { shortRun } from './short-run.js';

test('Redis goes up and down', async (t) => {
  await shortRun(t, redisFlapping, { seed: 1, scale: 0.1 });
});
