/** The scenarios by name. */

import type { Scenario } from './scenario.js';
import { databaseRestarts, redisFlapping } from './scenarios/dependencies.js';
import { leaks } from './scenarios/leaks.js';
import { randomScenario } from './scenarios/random.js';
import { rebalance } from './scenarios/rebalance.js';
import { rollingRestart } from './scenarios/rolling-restart.js';

export const scenarios: readonly Scenario[] = [
  ...[randomScenario, redisFlapping, databaseRestarts],
  ...[rollingRestart, rebalance, leaks],
];
