/** The scenarios by name. */

import { randomScenario } from './scenarios/random.js';
import type { Scenario } from './scenario.js';
import { databaseRestarts, redisFlapping } from './scenarios/dependencies.js';

export const scenarios: readonly Scenario[] = [randomScenario, redisFlapping, databaseRestarts];
