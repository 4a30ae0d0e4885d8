/** Searches, filters and pages of what is gone: agents, and accounts that nobody serves any more. */

import type { OfflineAgent } from '../../store/presence/presence-record.js';
import type { AccountLeft } from '../../store/presence/presence.js';
import type { OfflineAccountRow, OfflineAgentRow, Page } from './answers.js';
import { containing, paged, sorted } from './pages.js';

export interface OfflineQuestion {
  /** Part of an agent's id, of an account's name or of the reason, in any case. */
  readonly search?: string | undefined;
  /** Exactly this one. */
  readonly agent?: string | undefined;
  readonly account?: string | undefined;
  readonly sort?: string | undefined;
}

/** `-` before it turns the order round. */
export const offlineOrders = ['name', 'replica', 'since', 'accounts'] as const;

const someAccounts = 6;

export function offlineAgentPage(
  agents: readonly OfflineAgent[],
  { search, agent, sort = '-since' }: OfflineQuestion,
  page: number,
): Page<OfflineAgentRow> {
  const named = containing(search);
  const found = agents.filter(
    (one) =>
      (agent === undefined || one.agentId === agent) &&
      ([one.agentId, one.instanceId, one.reason, one.message ?? ''].some(named) || one.accounts.some(named)),
  );
  const ordered = sorted(found, sort, {
    name: ({ agentId }) => agentId,
    replica: ({ instanceId }) => instanceId,
    since: ({ goneTime }) => goneTime,
    accounts: ({ accounts }) => accounts.length,
  });
  return paged(ordered, page, (one) => ({
    agentId: one.agentId,
    clouddriverId: one.instanceId,
    version: one.version,
    accounts: one.accounts.length,
    someAccounts: one.accounts.slice(0, someAccounts),
    offlineSince: new Date(one.goneTime).toISOString(),
    reason: one.reason,
    ...(one.message === undefined ? {} : { message: one.message }),
    ...(one.replacedBy === undefined ? {} : { replacedBy: one.replacedBy }),
  }));
}

export function offlineAccountPage(
  accounts: readonly AccountLeft[],
  { search, agent, account, sort = '-since' }: OfflineQuestion,
  page: number,
): Page<OfflineAccountRow> {
  const named = containing(search);
  const found = accounts.filter(
    ({ name, lastAgent }) =>
      (account === undefined || name === account) &&
      (agent === undefined || lastAgent.agentId === agent) &&
      [name, lastAgent.agentId, lastAgent.reason, lastAgent.message ?? ''].some(named),
  );
  const ordered = sorted(found, sort, {
    name: ({ name }) => name,
    replica: ({ lastAgent }) => lastAgent.instanceId,
    since: ({ lastAgent }) => lastAgent.goneTime,
    accounts: ({ lastAgent }) => lastAgent.accounts.length,
  });
  return paged(ordered, page, ({ name, lastAgent }) => ({
    name,
    lastAgentId: lastAgent.agentId,
    clouddriverId: lastAgent.instanceId,
    offlineSince: new Date(lastAgent.goneTime).toISOString(),
    reason: lastAgent.reason,
    ...(lastAgent.message === undefined ? {} : { message: lastAgent.message }),
  }));
}
