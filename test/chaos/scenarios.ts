/** The scenarios by name. */

import type { Scenario } from './scenario.js';
import { cachingTakeover } from './scenarios/caching-takeover.js';
import { databaseRestarts, redisFlapping } from './scenarios/dependencies.js';
import { leaks } from './scenarios/leaks.js';
import { overload } from './scenarios/overload.js';
import { ownerKilled } from './scenarios/owner-killed.js';
import { randomScenario } from './scenarios/random.js';
import { rebalance } from './scenarios/rebalance.js';
import { rollingRestart } from './scenarios/rolling-restart.js';

export const scenarios: readonly Scenario[] = [
  ...[randomScenario, redisFlapping, databaseRestarts],
  ...[rollingRestart, rebalance, ownerKilled, cachingTakeover],
  ...[overload, leaks],
];
