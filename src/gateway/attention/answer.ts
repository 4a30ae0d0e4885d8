/**
 * What needs attention in the whole cluster: `GET /armory/attention`, the console's overview and `agent-gateway status`. The
 * console's page reads these types too, so this file imports nothing. Times are ISO 8601.
 */

export interface Attention {
  /** The instance that answers. */
  readonly clouddriverId: string;
  /** Whether nothing below needs attention. */
  readonly ok: boolean;
  readonly instances: InstancesAttention;
  readonly failures: FailuresAttention;
  readonly accounts: AccountsAttention;
  readonly agents: AgentsAttention;
  /** Parts that could not be read: they show what was read last, or nothing. */
  readonly problems: readonly AttentionProblem[];
}

export interface AttentionProblem {
  readonly part: string;
  readonly error: string;
  /** When it was read last; absent: never. */
  readonly lastRead?: string;
}

export interface InstancesAttention {
  /** Ready to take operations. */
  readonly ready: number;
  /** Those that are there, and those that are lost and not replaced. */
  readonly expected: number;
  /** Those that are not ready or lost first, then by id. */
  readonly items: readonly InstanceHealth[];
}

export type InstanceState = 'ready' | 'not ready' | 'no answer' | 'lost';

export interface InstanceHealth {
  readonly clouddriverId: string;
  readonly state: InstanceState;
  /** Of a lost one: its last sign of life. */
  readonly since?: string;
  /** Why it is not ready, does not answer, or is lost. */
  readonly reason?: string;
  readonly baseUrl: string;
  readonly version?: string;
  /** Of a lost one: the instance that has taken its place. */
  readonly replacedBy?: string;
}

export interface FailuresAttention {
  /** Accounts with operations that failed within the last hour. */
  readonly accounts: number;
  /** There were more failures than were counted: counts are lower bounds. */
  readonly more: boolean;
  /** The 20 accounts with the most failures within 15 minutes. */
  readonly items: readonly FailingAccount[];
}

export interface FailingAccount {
  readonly account: string;
  /** Failed operations that started within this time. */
  readonly last15Minutes: number;
  readonly lastHour: number;
  /** No operation has completed since the last failure. */
  readonly ongoing: boolean;
  /** Since when they fail; not ongoing: the first failure within the hour. */
  readonly since: string;
  /** It may have begun before `since`. */
  readonly orEarlier: boolean;
  /** The last failure. */
  readonly lastOperationId: string;
  readonly lastTime: string;
  readonly lastOutcome: string;
  readonly lastMessage?: string;
}

export interface AccountsAttention {
  readonly served: number;
  /** Accounts of agents that are offline, and of no agent that is connected. */
  readonly offline: number;
  /** The first 20, those that went last first. */
  readonly items: readonly OfflineAccount[];
  /** Accounts that agents serve and none caches. */
  readonly uncached: number;
  /** The first 20 names. */
  readonly uncachedNames: readonly string[];
}

export interface OfflineAccount {
  readonly name: string;
  readonly offlineSince: string;
  /** The agent that served it last, and the instance where that was. */
  readonly lastAgentId: string;
  readonly lastClouddriverId: string;
  readonly reason: string;
  readonly message?: string;
}

export interface AgentsAttention {
  readonly connected: number;
  /** All that are offline: also those that said goodbye or were replaced, which need no attention. */
  readonly offline: number;
  /** Those of them that need attention. */
  readonly missing: number;
  /** The first 20 of the missing ones, those that went last first. */
  readonly items: readonly MissingAgent[];
}

export interface MissingAgent {
  readonly agentId: string;
  readonly zoneId: string;
  readonly offlineSince: string;
  /** The instance where it was connected last. */
  readonly lastClouddriverId: string;
  readonly reason: string;
  readonly message?: string;
  readonly accounts: number;
  /** The first few. */
  readonly someAccounts: readonly string[];
}
