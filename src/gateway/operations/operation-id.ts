/** Ids of operations: ULIDs (https://github.com/ulid/spec). */

import { randomFillSync } from 'node:crypto';
import { ulid } from 'ulid';

/**
 * Makes ids. Random bytes are taken from the system for hundreds of ids at once: one call for each character, as the
 * library does by default, costs more than all the rest of routing an operation.
 * @returns gives an id for an operation of that time, Unix ms
 */
export function createOperationIds(): (time: number) => string {
  const bytes = new Uint8Array(4_096);
  let used = bytes.length;
  const random = (): number => {
    if (used === bytes.length) {
      randomFillSync(bytes);
      used = 0;
    }
    const byte = bytes[used] ?? 0;
    used += 1;
    return byte / 256;
  };
  return (time) => ulid(time, random);
}
