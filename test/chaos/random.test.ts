/** A shrunk run of the random scenario. */

import { test } from 'tap';
import { randomScenario } from './scenarios/random.js';
import { shortRun } from './short-run.js';

test('random kills, freezes and cuts', async (t) => {
  await shortRun(t, randomScenario, { seed: 5, scale: 0.15 });
});
