/** What is kept of an account in kubesvc_accounts, and what agents and the API give for it. Times in ms UTC. */

import type { AccountStatus } from './account-lifecycle.js';

/** An account as its agents describe it. */
interface DescribedAccount {
  readonly name: string;
  readonly kubeHost: string;
  readonly kubeVersion: string;
  readonly certFingerprint: string;
  readonly maxWatchAgeSeconds: number;
  readonly namespaces: readonly string[];
  readonly properties: Readonly<Record<string, string>>;
}

/** A row of kubesvc_accounts. */
export interface AccountRecord extends DescribedAccount {
  readonly status: AccountStatus;
  readonly zoneId: string;
  readonly dynamic: boolean;
  /** Agents that serve it now. */
  readonly connections: number;
  /** The definition given to the API, as JSON text; may hold secrets: never return or log it. */
  readonly definition?: string;
  readonly errorMessage?: string;
  readonly failedCount: number;
  /** For a dynamic account: grows with every change of its definition. */
  readonly definitionVersion: number;
  readonly lastUpdated: number;
}

/** An agent's description of an account in its registration. */
export interface AccountRegistration extends DescribedAccount {
  /**
   * For a dynamic account: the version of its definition that the agent serves. Absent: the account is the agent's own.
   */
  readonly dynamicVersion?: number;
}

export interface NewDynamicAccount {
  readonly name: string;
  /** '': the zone of the first agent that can serve it. */
  readonly zoneId: string;
  /** JSON text, as accounts/definition.ts seals it. */
  readonly definition: string;
  /** Whether agents should serve it at once. */
  readonly activate: boolean;
}

export interface DynamicAccountFilter {
  readonly status?: AccountStatus | undefined;
  readonly zoneId?: string | undefined;
}

export type DynamicAccountSummary = Pick<
  AccountRecord,
  'name' | 'status' | 'zoneId' | 'connections' | 'failedCount' | 'errorMessage' | 'lastUpdated'
>;
