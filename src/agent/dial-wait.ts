/** When an agent dials again after its stream ended. */

import { status } from '@grpc/grpc-js';
import { backoffMs } from '../core/retry.js';
import type { AgentConnectionLimits } from './connection-options.js';
import { isRefusal } from './connection-state.js';
import type { StreamEnd } from './gateway-stream.js';

export interface DialHistory {
  /** Dials in a row that led to no stable stream. */
  readonly failures: number;
  /** A dial was given up lately: the gateway may have registered it all the same, and ended the older stream for it. */
  readonly gaveUp: boolean;
}

/** How long to wait before the next dial, in ms: what the gateway asks for, or the backoff. */
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
