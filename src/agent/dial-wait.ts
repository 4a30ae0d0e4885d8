/** When an agent dials again after its stream ended. */

import { backoffMs } from '../core/retry.js';
import type { ConnectionLimits } from './connection-options.js';
import { isRefusal } from './connection-state.js';
import type { StreamEnd } from './gateway-stream.js';

/** How long to wait before the next dial, in ms: what the gateway asks for, or the backoff. */
export function dialWaitMs(
  end: StreamEnd,
  { backoff, refusedBackoff }: Pick<ConnectionLimits, 'backoff' | 'refusedBackoff'>,
  failures: number,
  random: () => number,
): number {
  const { retryAfterMs } = end;
  if (retryAfterMs === undefined) return backoffMs(isRefusal(end) ? refusedBackoff : backoff, failures, random);
  return Math.round(retryAfterMs * (1 + backoff.jitter * random()));
}
