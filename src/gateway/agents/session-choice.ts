/** Which of several streams that serve an account gets an operation. */

import type { Binding } from '../../protocol/wire.js';
import { isBoundTo } from './delivery.js';
import type { Session } from './session.js';

/**
 * The one with the fewest operations under way; one that leaves only if all do.
 * @param binding no stream of another process will do
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
