/** Cuts lists into batches for one statement, or for one turn of the event loop. */

/** Rows of one statement or transaction: many times fewer round trips, and still a short lock. */
export const batchSize = 500;

export function* batches<T>(list: readonly T[], size = batchSize): Generator<readonly T[]> {
  for (let start = 0; start < list.length; start += size) yield list.slice(start, start + size);
}
