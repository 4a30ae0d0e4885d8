/**
 * Ownership of accounts: the types that SQL (the truth), the Redis mirror and the in-process mirror share.
 */

/** One agent's stream that serves an account: a row of kubesvc_assignments. */
export interface Assignment {
  readonly agentId: string;
  /** The instance that holds the agent's stream (`cd_id`). */
  readonly instanceId: string;
  /** Number of the agent's connection, unique and growing in the whole cluster: the fence of every write. */
  readonly epoch: number;
  /** The agent's process (ops.Registration.process_id); absent: the agent did not send it. */
  readonly processId?: string;
  /** Whether this agent caches the account; true for one assignment of an account at most. */
  readonly caching: boolean;
}

/**
 * All assignments of one account at one moment. `version` grows with every change of the account's assignments,
 * so of two of these it is clear which one is newer. No assignments: the account is known, but no agent is connected.
 */
export interface Ownership {
  readonly account: string;
  readonly version: number;
  readonly assignments: readonly Assignment[];
}

/** A connection that accounts are assigned to: what claims, renewals and releases are conditional on. */
export interface Connection {
  readonly instanceId: string;
  readonly agentId: string;
  readonly zoneId: string;
  readonly epoch: number;
  /** As Assignment's. */
  readonly processId?: string;
  /** What its accounts must be bound to, or are bound to now; absent: authentication is off. */
  readonly principal?: string | undefined;
}
