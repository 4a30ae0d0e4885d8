/** Chooses the stream for an operation among those that serve its account. */

import type { Binding } from '../../protocol/wire.js';
import { isBoundTo } from './delivery.js';
import type { Session } from './session.js';

/**
 * The stream with the fewest operations under way; one that is leaving only if all are.
 * @param binding excludes streams of other processes
 */
export function choose(sessions: readonly Session[] | undefined, binding: Binding | undefined): Session | undefined {
  let best: Session | undefined;
  for (const session of sessions ?? []) {
    if (binding !== undefined && !isBoundTo(binding, session.identity)) continue;
    if (best === undefined || Number(session.leaving) < Number(best.leaving)) best = session;
    else if (session.leaving === best.leaving && session.inFlightCount < best.inFlightCount) best = session;
  }
  return best;
}
