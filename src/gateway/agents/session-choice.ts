/** Which of several streams that serve an account gets an operation. */

import type { Session } from './session.js';

/**
 * The one with the fewest operations under way; one that leaves only if all do.
 * @param onlyAgentId no stream of another agent will do
 */
export function choose(sessions: readonly Session[] | undefined, onlyAgentId: string | undefined): Session | undefined {
  let best: Session | undefined;
  for (const session of sessions ?? []) {
    if (onlyAgentId !== undefined && session.identity.agentId !== onlyAgentId) continue;
    if (best === undefined || Number(session.leaving) < Number(best.leaving)) best = session;
    else if (session.leaving === best.leaving && session.inFlightCount < best.inFlightCount) best = session;
  }
  return best;
}
