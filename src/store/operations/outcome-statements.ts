/** How many operations ended in which way, from kubesvc_ops_history. */

import { sql, type Kysely } from 'kysely';

import type { Schema } from '../sql/schema.js';
import { finalOutcomes } from './operation-record.js';

export interface OutcomeCount {
  readonly outcome: string;
  /** Start of the step in which the operations started, in ms UTC; a multiple of the step. */
  readonly time: number;
  readonly count: number;
}

/** Of operations that started at `since` or later, in ms UTC. Only the index of outcome and start is read. */
export async function selectOutcomeCounts(
  db: Kysely<Schema>,
  since: number,
  stepMs: number,
): Promise<readonly OutcomeCount[]> {
  const step = sql<number>`floor(start_time / ${sql.lit(stepMs)})`;
  const rows = await db
    .selectFrom('kubesvc_ops_history')
    .select((eb) => ['final_outcome as outcome', step.as('step'), eb.fn.countAll<number>().as('count')])
    .where('final_outcome', 'in', [...finalOutcomes])
    .where('start_time', '>=', since)
    .groupBy(['final_outcome', step])
    .execute();
  return rows.map(({ outcome, step: number, count }) => ({
    outcome: outcome ?? '',
    time: Number(number) * stepMs,
    count: Number(count),
  }));
}
