/** Where a watch may end: between two events, however its bytes are cut. */

import fc from 'fast-check';
import { test } from 'tap';
import { watchBoundary } from '../../../src/gateway/kubernetes-api/watch-boundary.js';

/** Lengths after which an event is complete, and the bytes of all. */
function joined(events: readonly Buffer[]): { readonly bytes: Buffer; readonly ends: ReadonlySet<number> } {
  const ends = new Set([0]);
  let length = 0;
  for (const event of events) ends.add((length += event.length));
  return { bytes: Buffer.concat(events), ends };
}

function framed(body: Uint8Array): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(body.length);
  return Buffer.concat([prefix, body]);
}

const kinds = {
  'application/json': fc.json().map((json) => Buffer.from(`${json}\n`)),
  'application/vnd.kubernetes.protobuf;stream=watch': fc.uint8Array({ maxLength: 300 }).map(framed),
};

for (const [contentType, event] of Object.entries(kinds)) {
  test(`${contentType}: the boundary is reached exactly at the ends of events`, (t) => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 8 }), fc.array(fc.nat(40), { minLength: 1 }), (events, sizes) => {
        const { bytes, ends } = joined(events);
        const boundary = watchBoundary(contentType);
        let position = 0;
        for (let turn = 0; position < bytes.length; turn += 1) {
          const end = Math.min(bytes.length, position + (sizes[turn % sizes.length] ?? 0) + 1);
          boundary.push(bytes.subarray(position, end));
          position = end;
          if (boundary.reached !== ends.has(position)) return false;
        }
        return boundary.reached;
      }),
    );
    t.end();
  });
}
