/**
 * Frees the buffers of large bodies soon after they have passed. V8 counts such memory towards the size at which it
 * collects the whole heap, every 10 MB or so, although nearly all of it is garbage that collecting the young objects
 * alone would free. A list of 200 MiB so cost a replica 4 s of CPU time, three quarters of it for that.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Well below the growth at which V8 collects everything: 8 MiB in a small heap. */
const collectedBytes = 2 * 2 ** 20;
/** Smaller pieces are left to V8: they come with so many objects that it collects the young ones often enough. */
const largePiece = 16_384;

let passed = 0;
let collect: ((options: { readonly type: 'minor' }) => void) | undefined;

/** So many bytes in one piece were read or copied, and will be garbage in a moment. */
export function passing(bytes: number): void {
  if (bytes < largePiece) return;
  passed += bytes;
  if (passed < collectedBytes) return;
  passed = 0;
  collect ??= collector();
  collect({ type: 'minor' });
}

/** Node.js has no other way to its collector without a flag on its command line. */
function collector(): (options: { readonly type: 'minor' }) => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as (options: { readonly type: 'minor' }) => void;
}
