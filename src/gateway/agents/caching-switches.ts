/** Who of this instance's agents begins to cache what, and who ends it. */

import type { Ownership } from '../../store/ownership.js';
import type { Session } from './session.js';

/**
 * Notes in the sessions what they cache from now on.
 * @param may whether agents may begin to
 * @returns what each session has to be told
 */
export function switchCaching(
  ownerships: readonly Ownership[],
  sessionsOf: (account: string) => readonly Session[],
  may: boolean,
): ReadonlyMap<Session, { readonly start: string[]; readonly stop: string[] }> {
  const switches = new Map<Session, { start: string[]; stop: string[] }>();
  for (const { account, assignments } of ownerships) {
    for (const session of sessionsOf(account)) {
      const { epoch } = session.identity;
      const should = assignments.some((assignment) => assignment.epoch === epoch && assignment.caching);
      if (should === session.caching.has(account) || (should && !may)) continue;
      if (should) session.caching.add(account);
      else session.caching.delete(account);
      const change = switches.get(session) ?? { start: [], stop: [] };
      (should ? change.start : change.stop).push(account);
      switches.set(session, change);
    }
  }
  return switches;
}
