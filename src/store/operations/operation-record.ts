/** What SQL keeps of an operation: while it is pending, and once it has ended. Times in ms UTC. */

export const finalOutcomes = ['completed', 'failed', 'timed out', 'cancelled', 'agent lost'] as const;
export type FinalOutcome = (typeof finalOutcomes)[number];

/** A pending operation: a row of kubesvc_ops. */
export interface StoredOperation {
  readonly id: string;
  readonly account: string;
  readonly operationType: string;
  /** The operation as the agent gets it; 4 MB at most. */
  readonly body: Uint8Array;
  /** Digest of what the caller sent, to tell a repeated submission from another one with the same id. */
  readonly digest: string;
  readonly receivedByInstanceId: string;
  readonly receivedTime: number;
  /** How long it may take in all, in ms; its deadline is on the database's clock. */
  readonly timeoutMs: number;
  /** The one agent that may have it; '' for one that any agent may have (it changes nothing). */
  readonly agentId: string;
  /** The epoch of that agent's connection when it was bound. */
  readonly agentEpoch: number;
  /** That agent's process; absent where it names none. */
  readonly agentProcessId?: string;
}

/** Who alone may have a pending operation. */
export interface OperationBinding {
  readonly agentId: string;
  readonly epoch: number;
  /** Absent where the agent names none. */
  readonly processId?: string;
}

/** A pending operation as it is read back. */
export interface UnfinishedOperation extends StoredOperation {
  /** Until its deadline, by the database's clock, in ms; negative when that is over. */
  readonly timeLeftMs: number;
}

/** Who did something with an operation, and when. */
export interface InstanceStep {
  readonly instanceId: string;
  readonly time: number;
}

export interface AgentStep {
  readonly agentId: string;
  readonly time: number;
}

export interface AgentResult {
  readonly agentId: string;
  readonly instanceId: string;
  readonly time: number;
  /** The agent's own status number. */
  readonly status: number;
  readonly durationMs: number;
}

/** An operation's history: a row of kubesvc_ops_history, or of a pending one what is known so far. */
export interface OperationRecord {
  readonly operationId: string;
  readonly operationType: string;
  readonly account: string;
  readonly startTime: number;
  /** Absent while it is pending. */
  readonly endTime?: number;
  readonly totalDurationMs?: number;
  readonly finalOutcome?: FinalOutcome;
  readonly receivedBy?: InstanceStep;
  readonly processedBy?: InstanceStep | undefined;
  readonly sentToAgent?: AgentStep | undefined;
  readonly resultReceivedFromAgent?: AgentResult | undefined;
  readonly resultReceivedBy?: InstanceStep | undefined;
  readonly digest: string;
  /** Why it did not complete; 1,000 characters are kept. */
  readonly errorMessage?: string | undefined;
  /** What the agent said, shortened; 1,000 characters are kept. */
  readonly resultMessage?: string | undefined;
}

/** An operation that has ended. */
export interface FinishedOperation extends OperationRecord {
  readonly endTime: number;
  readonly finalOutcome: FinalOutcome;
}

export type InsertOutcome =
  | { readonly id: string; readonly status: 'inserted' }
  /** The id was used before. */
  | { readonly id: string; readonly status: 'pending'; readonly digest: string }
  | {
      readonly id: string;
      readonly status: 'finished';
      readonly digest: string;
      /** Absent in a row that Armory's plugin left. */
      readonly finalOutcome?: FinalOutcome;
    };

export interface OperationFilter {
  /** Records on a page. */
  readonly items: number;
  /** 0 is the first page; the cost grows with items × page. */
  readonly page: number;
  readonly account?: string;
  /** Only those that ended like this, or only those that are under way. */
  readonly outcome?: FinalOutcome | 'pending';
  /** Started at this time or later, in ms UTC. */
  readonly since?: number;
  /** Started before this time, in ms UTC. */
  readonly until?: number;
}

export interface UnfinishedFilter {
  readonly accounts?: readonly string[];
  readonly receivedByInstanceId?: string;
  /** Their deadline was longer ago than this, in ms. */
  readonly overdueMs?: number;
  /** Ids after this one: the last one of the page before. */
  readonly after?: string;
  /** Bounds the memory, too: each one may have 4 MB. */
  readonly limit: number;
}
