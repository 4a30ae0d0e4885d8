/** Lists of the Kubernetes API, taken apart while they arrive. */

import fc from 'fast-check';
import { test } from 'tap';
import { ListSplitter } from '../../src/kubernetes/list-splitter.js';

function split(text: string, chunkBytes: number): { items: unknown[]; list: unknown } {
  const items: unknown[] = [];
  const splitter = new ListSplitter(1 << 20, (json) => items.push(JSON.parse(json.toString())));
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += chunkBytes) splitter.push(bytes.subarray(at, at + chunkBytes));
  return { items, list: splitter.end() };
}

test('items and what is around them, wherever the chunks end, in any order of the keys', (t) => {
  const object = fc.record({ name: fc.string({ unit: 'binary' }), nested: fc.jsonValue() });
  const property = fc.property(fc.array(object), fc.integer({ min: 1, max: 40 }), fc.nat(3), (items, bytes, at) => {
    const metadata = { resourceVersion: '5', items: ['not these'], note: '"items":[{}]' };
    const entries: [string, unknown][] = [
      ['kind', 'PodList'],
      ['metadata', metadata],
      ['apiVersion', 'items'],
    ];
    entries.splice(at, 0, ['items', items]);
    const result = split(JSON.stringify(Object.fromEntries(entries), null, bytes % 3), bytes);
    const expected = JSON.parse(JSON.stringify({ items, metadata })) as { items: unknown; metadata: unknown };
    const { metadata: found, items: rest } = result.list as { metadata: unknown; items: unknown };
    const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
    return same(result.items, expected.items) && same(found, expected.metadata) && same(rest, []);
  });
  fc.assert(property, { numRuns: 500 });
  t.strictSame(split('{"kind":"PodList","metadata":{"resourceVersion":"1"},"items":null}', 7).items, []);
  t.end();
});

test('an answer that was cut off, and an object that is too large, are errors', (t) => {
  t.throws(() => split('{"items":[{"a":1},{"b"', 5), /cut off/);
  const splitter = new ListSplitter(10, () => undefined);
  t.throws(() => splitter.push(Buffer.from('{"items":[{"a":"0123456789abc')), /too large/);
  t.end();
});
