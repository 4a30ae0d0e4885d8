/** Which other replica a request of an account goes to. */

import type { Ownership } from '../../store/assignments/ownership.js';

type Assignment = Ownership['assignments'][number];

/**
 * The assignment at another replica. The caching agent's first: it is known to be healthy. Rows of this instance are stale
 * if it has no stream.
 * @param isWanted which assignments may be taken
 */
export function remoteOwner(
  owners: Ownership | undefined,
  instanceId: string,
  isWanted: (assignment: Assignment) => boolean,
): Assignment | undefined {
  let best: Assignment | undefined;
  for (const assignment of owners?.assignments ?? []) {
    if (assignment.instanceId === instanceId || !isWanted(assignment)) continue;
    if (best === undefined || (assignment.caching && !best.caching)) best = assignment;
  }
  return best;
}
