/** Rows with large values, cut into what one statement takes. */

import { batchSize } from '../../core/batches.js';

/**
 * Cuts a list at 500 items and at `limit` bytes, in its order; an item that is larger than that is alone.
 * @param bytesOf the bytes of an item
 */
export function* byteBatches<T>(
  list: readonly T[],
  limit: number,
  bytesOf: (item: T) => number,
): Generator<readonly T[]> {
  let batch: T[] = [];
  let bytes = 0;
  for (const item of list) {
    const size = bytesOf(item);
    if (batch.length > 0 && (batch.length >= batchSize || bytes + size > limit)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
