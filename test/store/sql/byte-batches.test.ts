import { test } from 'tap';

import { byteBatches } from '../../../src/store/sql/byte-batches.js';

const sizes = (sizesOfItems: readonly number[], limit: number) => [...byteBatches(sizesOfItems, limit, (size) => size)];

test('a batch ends before the item that would make it too large', async (t) => {
  t.same(sizes([4, 6, 1, 9, 2], 10), [[4, 6], [1, 9], [2]]);
});

test('an item that is larger than the limit is alone, and the order stays', async (t) => {
  t.same(sizes([1, 99, 1], 10), [[1], [99], [1]]);
});

test('a batch ends at 500 items, however small', async (t) => {
  const batches = sizes(Array<number>(1_001).fill(1), Number.POSITIVE_INFINITY);
  t.same(
    batches.map(({ length }) => length),
    [500, 500, 1],
  );
});

test('nothing is no batch', async (t) => {
  t.same(sizes([], 10), []);
});
