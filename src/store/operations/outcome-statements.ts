/** How many operations ended in which way, from kubesvc_ops_history. */

import { sql, type Kysely, type RawBuilder } from 'kysely';

import type { Schema } from '../sql/schema.js';
import { finalOutcomes } from './operation-record.js';

export interface OutcomeCount {
  readonly outcome: string;
  /** Start of the step in which the operations started, in ms UTC; a multiple of the step. */
  readonly time: number;
  readonly count: number;
}

/**
 * Of operations that started at `since` or later, in ms UTC. Only the index of outcome and start is read, but for refused
 * ones: there are few rows of them, and each stands for many requests.
 */
export async function selectOutcomeCounts(
  db: Kysely<Schema>,
  since: number,
  stepMs: number,
): Promise<readonly OutcomeCount[]> {
  const step = sql<number>`floor(start_time / ${sql.lit(stepMs)})`;
  const counted = async (outcomes: readonly string[], count: RawBuilder<number>): Promise<OutcomeCount[]> => {
    const rows = await db
      .selectFrom('kubesvc_ops_history')
      .select(['final_outcome as outcome', step.as('step'), count.as('count')])
      .where('final_outcome', 'in', outcomes)
      .where('start_time', '>=', since)
      .groupBy(['final_outcome', step])
      .execute();
    return rows.map((row) => ({
      outcome: row.outcome ?? '',
      time: Number(row.step) * stepMs,
      count: Number(row.count),
    }));
  };
  const accepted = finalOutcomes.filter((outcome) => outcome !== 'refused');
  return [
    ...(await counted(accepted, sql<number>`count(*)`)),
    ...(await counted(['refused'], sql<number>`sum(coalesce(occurrences, 1))`)),
  ];
}
