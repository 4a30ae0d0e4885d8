/** The records of an operation in SQL: while it is pending, and after it has ended. Times in ms UTC. */

export const finalOutcomes = ['completed', 'failed', 'timed out', 'cancelled', 'agent lost'] as const;
export type FinalOutcome = (typeof finalOutcomes)[number];

/** A pending operation: a row of kubesvc_ops. */
export interface StoredOperation {
  readonly id: string;
  readonly account: string;
  readonly operationType: string;
  /** The operation as the agent gets it; 4 MB at most. */
  readonly body: Uint8Array;
  /** Digest of the caller's request, to tell a repeated submission from a different one with the same id. */
  readonly digest: string;
  readonly receivedByInstanceId: string;
  readonly receivedTime: number;
  /** Its total time, in ms; its deadline is on the database's clock. */
  readonly timeoutMs: number;
  /** The only agent that may get it; '' if any agent may get it (it changes nothing). */
  readonly agentId: string;
  /** The epoch of that agent's connection when it was bound. */
  readonly agentEpoch: number;
  /** That agent's process; absent if it names none. */
  readonly agentProcessId?: string;
}

/** The only process that may get a pending operation. */
export interface OperationBinding {
  readonly agentId: string;
  readonly epoch: number;
  /** Absent if the agent names none. */
  readonly processId?: string;
}

/** A pending operation as it is read back. */
export interface UnfinishedOperation extends StoredOperation {
  /** Time until its deadline, by the database's clock, in ms; negative after it. */
  readonly timeLeftMs: number;
}

/** The instance or agent of a step of an operation, and its time. */
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

/** What a request was about. */
export interface RecordedObject {
  /** '' for the core group, for none, and so on. */
  readonly group: string;
  /** In the plural, with the subresource: "deployments", "pods/exec". Of a request that names no kind: its path. */
  readonly resource: string;
  /** '' for cluster-scoped objects and for all namespaces. */
  readonly namespace: string;
  readonly name: string;
}

/** An operation's history: a row of kubesvc_ops_history, or the known part of it while the operation is pending. */
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
  /** Why it did not complete, cut to 1,000 characters. */
  readonly errorMessage?: string | undefined;
  /** The agent's message, cut to 1,000 characters. */
  readonly resultMessage?: string | undefined;
  /** Its principal, or "anonymous ADDRESS". */
  readonly caller?: string | undefined;
  /** As the Kubernetes API names it: "create", "patch", "deletecollection". */
  readonly verb?: string | undefined;
  readonly object?: RecordedObject | undefined;
  readonly requestBytes?: number | undefined;
  readonly responseBytes?: number | undefined;
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
      /** Absent in a row of Armory's plugin. */
      readonly finalOutcome?: FinalOutcome;
    };

export interface OperationFilter {
  /** Records on a page. */
  readonly items: number;
  /** 0 is the first page; the cost grows with items × page. */
  readonly page: number;
  readonly account?: string;
  /** Only operations with this outcome, or only those under way. */
  readonly outcome?: FinalOutcome | 'pending';
  /** Started at this time or later, in ms UTC. */
  readonly since?: number;
  /** Started before this time, in ms UTC. */
  readonly until?: number;
}

export interface UnfinishedFilter {
  readonly accounts?: readonly string[];
  readonly receivedByInstanceId?: string;
  /** Only those whose deadline was longer ago than this, in ms. */
  readonly overdueMs?: number;
  /** Ids after this one: the last one of the page before. */
  readonly after?: string;
  /** Bounds the memory, too: each one may have 4 MB. */
  readonly limit: number;
}
