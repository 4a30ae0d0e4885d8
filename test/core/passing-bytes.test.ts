/** Memory of bodies that pass: freed soon, by collections of young objects alone. */

import { PerformanceObserver, constants } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { test } from 'tap';
import { passing } from '../../src/core/passing-bytes.js';

const mebibyte = 2 ** 20;
const pieceBytes = 65_536;

test('200 MiB in large pieces never hold more than a few MiB, and cost hardly a full collection', async (t) => {
  const kinds: number[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries()) kinds.push((detail as { readonly kind: number }).kind);
  });
  observer.observe({ entryTypes: ['gc'] });
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let bytes = 0; bytes < 200 * mebibyte; bytes += pieceBytes) {
    passing(Buffer.allocUnsafeSlow(pieceBytes).length);
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    await setImmediate();
  }
  observer.disconnect();
  t.ok(most < 8 * mebibyte, `${String(most)} bytes at most`);
  // V8 of Node.js 24 makes one by itself while the program warms up; without passing() they are twenty.
  const full = kinds.filter((kind) => kind === constants.NODE_PERFORMANCE_GC_MAJOR).length;
  t.ok(full <= 2, `${String(full)} full collections`);
  t.ok(kinds.includes(constants.NODE_PERFORMANCE_GC_MINOR));
});
