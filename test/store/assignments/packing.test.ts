import { test } from 'tap';

import { packed } from '../../../src/store/assignments/packing.js';

const named = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index}`);

/** `[index of the request, accounts]` of each part of each transaction. */
const shape = (...counts: readonly number[]) =>
  [...packed(counts.map((count, index) => ({ accounts: named(`r${index}-`, count) })))].map((parts) =>
    parts.map(({ index, request }) => [index, request.accounts.length]),
  );

test('small requests share a transaction of 1,000 accounts', async (t) => {
  t.same(shape(400, 600, 1, 2), [
    [
      [0, 400],
      [1, 600],
    ],
    [
      [2, 1],
      [3, 2],
    ],
  ]);
});

test('a request that does not fit into what is left begins the next transaction', async (t) => {
  t.same(shape(400, 601), [[[0, 400]], [[1, 601]]]);
});

test('a larger request is cut, and its parts keep its index and the order of its accounts', async (t) => {
  t.same(shape(2_500), [[[0, 1_000]], [[0, 1_000]], [[0, 500]]]);
  const request = { accounts: named('a', 1_500) };
  const parts = [...packed([request])].flat();
  t.same(
    parts.flatMap((part) => part.request.accounts),
    request.accounts,
  );
});

test('a request without accounts is in no transaction', async (t) => {
  t.same(shape(0, 1, 0), [[[1, 1]]]);
  t.same(shape(0), []);
});
