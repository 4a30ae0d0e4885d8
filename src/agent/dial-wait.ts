/** When an agent dials again after its stream ended. */

import { status } from '@grpc/grpc-js';
import { backoffMs } from '../core/retry.js';
import type { AgentConnectionLimits } from './connection-options.js';
import { isRefusal } from './connection-state.js';
import type { StreamEnd } from './gateway-stream.js';

export interface DialHistory {
  /** Consecutive dials without a stable stream. */
  readonly failures: number;
  /** A dial was given up recently: the gateway may still have registered it, and ended the older stream for it. */
  readonly gaveUp: boolean;
}

/** How long to wait before the next dial, in ms: the gateway's requested wait, or the backoff. */
export function dialWaitMs(
  end: StreamEnd,
  { backoff, refusedBackoff }: Pick<AgentConnectionLimits, 'backoff' | 'refusedBackoff'>,
  { failures, gaveUp }: DialHistory,
  random: () => number,
): number {
  const { retryAfterMs } = end;
  if (retryAfterMs !== undefined) return Math.round(retryAfterMs * (1 + backoff.jitter * random()));
  const refused = isRefusal(end) && !(gaveUp && end.code === status.ABORTED);
  return backoffMs(refused ? refusedBackoff : backoff, failures, random);
}
