/** Searches, filters and pages of the data that cluster-watch.ts has read. */

import type { ConnectedAgent } from '../../store/assignments/assignments.js';
import type { DynamicAccountSummary } from '../../store/accounts/account-record.js';
import { compareText } from '../../discovery/discovery.js';
import type { AccountRow, AgentAt, AgentRow, DynamicAccountRow, Page } from './answers.js';
import { containing, paged, sorted } from './pages.js';

export interface AgentQuestion {
  /** Part of an agent's id or of an account's name, in any case. */
  readonly search?: string | undefined;
  /** Whether they cache something. */
  readonly caching?: boolean | undefined;
  readonly replica?: string | undefined;
  /** Exactly this one. */
  readonly agent?: string | undefined;
  readonly sort?: string | undefined;
}

export interface AccountQuestion {
  readonly search?: string | undefined;
  /** Whether an agent caches them. */
  readonly cached?: boolean | undefined;
  readonly agent?: string | undefined;
  /** Exactly this one. */
  readonly account?: string | undefined;
  readonly sort?: string | undefined;
}

export interface DynamicQuestion {
  readonly search?: string | undefined;
  readonly status?: string | undefined;
  readonly sort?: string | undefined;
}

/** What lists can be sorted by; `-` before it turns the order round. */
export const agentOrders = ['agent', 'replica', 'accounts', 'caches', 'connected'] as const;
export const accountOrders = ['account', 'cached', 'agents'] as const;
export const dynamicOrders = ['account', 'state', 'agents', 'failures', 'changed'] as const;

const someAccounts = 6;
const someAgents = 6;

export function agentPage(agents: readonly ConnectedAgent[], question: AgentQuestion, page: number): Page<AgentRow> {
  const { caching, replica, agent } = question;
  const named = containing(question.search);
  const found = agents.filter(
    ({ agentId, instanceId, accounts, cachedAccounts }) =>
      (agent === undefined || agentId === agent) &&
      (replica === undefined || instanceId === replica) &&
      (caching === undefined || caching === cachedAccounts.length > 0) &&
      (named(agentId) || accounts.some(named)),
  );
  const ordered = sorted(found, question.sort, {
    agent: ({ agentId }) => agentId,
    replica: ({ instanceId }) => instanceId,
    accounts: ({ accounts }) => accounts.length,
    caches: ({ cachedAccounts }) => cachedAccounts.length,
    connected: ({ lastConnectionTime }) => lastConnectionTime,
  });
  return paged(ordered, page, ({ agentId, instanceId, accounts, cachedAccounts, lastConnectionTime }) => ({
    agentId,
    clouddriverId: instanceId,
    accounts: accounts.length,
    caches: cachedAccounts.length,
    someAccounts: ((question.search ?? '') === ''
      ? accounts
      : accounts.toSorted((a, b) => Number(named(b)) - Number(named(a)))
    ).slice(0, someAccounts),
    lastConnection: new Date(lastConnectionTime).toISOString(),
  }));
}

interface ServedAccount {
  readonly name: string;
  cachedBy: AgentAt | undefined;
  readonly servedBy: AgentAt[];
}

const served = new WeakMap<readonly ConnectedAgent[], readonly ServedAccount[]>();

/** By account, in the order of their names; built once for each reading of the agents. */
function byAccount(agents: readonly ConnectedAgent[]): readonly ServedAccount[] {
  const known = served.get(agents);
  if (known !== undefined) return known;
  const accounts = new Map<string, ServedAccount>();
  for (const { agentId, instanceId, accounts: names, cachedAccounts } of agents) {
    const agent = { agentId, clouddriverId: instanceId };
    const cached = new Set(cachedAccounts);
    for (const name of names) {
      const account = accounts.get(name) ?? { name, cachedBy: undefined, servedBy: [] };
      accounts.set(name, account);
      account.servedBy.push(agent);
      if (cached.has(name)) account.cachedBy = agent;
    }
  }
  const sorted = [...accounts.values()].sort((a, b) => compareText(a.name, b.name));
  served.set(agents, sorted);
  return sorted;
}

export function accountPage(
  agents: readonly ConnectedAgent[],
  question: AccountQuestion,
  page: number,
): Page<AccountRow> {
  const { cached, agent, account } = question;
  const named = containing(question.search);
  const found = byAccount(agents).filter(
    ({ name, cachedBy, servedBy }) =>
      (account === undefined || name === account) &&
      (cached === undefined || cached === (cachedBy !== undefined)) &&
      (agent === undefined || servedBy.some(({ agentId }) => agentId === agent)) &&
      named(name),
  );
  const ordered = sorted(found, question.sort, {
    account: ({ name }) => name,
    cached: ({ cachedBy }) => cachedBy?.agentId ?? '',
    agents: ({ servedBy }) => servedBy.length,
  });
  return paged(ordered, page, ({ name, cachedBy, servedBy }) => ({
    name,
    ...(cachedBy === undefined ? {} : { cachedBy }),
    servedBy: servedBy.slice(0, someAgents),
    agents: servedBy.length,
  }));
}

export function dynamicPage(
  accounts: readonly DynamicAccountSummary[],
  question: DynamicQuestion,
  page: number,
): Page<DynamicAccountRow> {
  const { status } = question;
  const named = containing(question.search);
  const found = accounts.filter(
    (account) =>
      (status === undefined || account.status === status) &&
      (named(account.name) || (account.errorMessage !== undefined && named(account.errorMessage))),
  );
  const ordered = sorted(found, question.sort, {
    account: ({ name }) => name,
    state: (account) => account.status,
    agents: ({ connections }) => connections,
    failures: ({ failedCount }) => failedCount,
    changed: ({ lastUpdated }) => lastUpdated,
  });
  return paged(ordered, page, (account) => ({ ...account, lastUpdated: new Date(account.lastUpdated).toISOString() }));
}
