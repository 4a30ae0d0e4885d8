/** Redis and the database come and go while agents and replicas are killed. */

import type { Scenario } from '../scenario.js';
import { runFaults } from './random.js';

export const redisFlapping: Scenario = {
  name: 'redis-flapping',
  description: 'Redis goes up and down all the time, beside kills and freezes of replicas and agents',
  run: (context) =>
    runFaults(context, {
      faults: [
        ...([
          'Redis killed',
          'Redis killed',
          'Redis frozen',
          'Redis slow',
          'Redis cut off',
          'Redis half-open',
        ] as const),
        ...(['replica killed', 'replica frozen beyond its lease', 'agents killed', 'agents half-open'] as const),
      ],
      count: Math.ceil(30 * context.scale),
      together: 2,
      operations: Math.ceil(10_000 * context.scale),
      skewMs: [],
      duplicates: 0,
      pauseMs: 500,
    }),
};

export const databaseRestarts: Scenario = {
  name: 'database-restarts',
  description: 'The database is killed, restarted, fails over and is slow, beside kills and freezes',
  run: (context) =>
    runFaults(context, {
      faults: [
        ...(['database killed', 'database restarted', 'database fails over', 'database slow'] as const),
        ...(['database half-open', 'database cut off', 'replica killed', 'agents killed'] as const),
      ],
      count: Math.ceil(16 * context.scale),
      together: 2,
      operations: Math.ceil(10_000 * context.scale),
      skewMs: [],
      duplicates: 0,
      pauseMs: 2_000,
    }),
};
