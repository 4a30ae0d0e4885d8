/** Which accounts are served, which of them nobody caches, and which are gone. */

import type { ConnectedAgent } from '../../store/assignments/assignments.js';
import type { OfflineAgent } from '../../store/presence/presence-record.js';
import type { AccountLeft } from '../../store/presence/presence.js';

export const accountStateNames = ['served', 'uncached', 'offline'] as const;

export interface AccountState {
  readonly name: string;
  readonly state: (typeof accountStateNames)[number];
  /** The agent that served it last, if it is offline. */
  readonly offline?: OfflineAgent;
}

/** All accounts, in the order of their names. */
export function accountStates(
  agents: readonly ConnectedAgent[],
  left: readonly AccountLeft[],
): readonly AccountState[] {
  const states = new Map<string, AccountState>();
  for (const { name, lastAgent } of left) states.set(name, { name, state: 'offline', offline: lastAgent });
  for (const { accounts, cachedAccounts } of agents) {
    const cached = new Set(cachedAccounts);
    for (const name of accounts) {
      if (states.get(name)?.state !== 'served')
        states.set(name, { name, state: cached.has(name) ? 'served' : 'uncached' });
    }
  }
  return [...states.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
