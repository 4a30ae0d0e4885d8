/** The records of an operation in SQL: while it is pending, and after it has ended. Times in ms UTC. */

/** How an operation ended. `refused`: it was not accepted; one record may stand for many such requests. */
export const finalOutcomes = ['completed', 'failed', 'timed out', 'cancelled', 'agent lost', 'refused'] as const;
export type FinalOutcome = (typeof finalOutcomes)[number];

/** What a request was about. */
export interface RecordedObject {
  /** '' for the core group, for none, and so on. */
  readonly group: string;
  /** As an operation names it: "Deployment". Absent: a request of the Kubernetes API, which names only the resource. */
  readonly kind?: string | undefined;
  /**
   * In the plural, with the subresource: "deployments", "pods/exec". Of an operation: the plural of its kind by the
   * rules of the language. Of a request that names no kind: its path.
   */
  readonly resource: string;
  /** '' for cluster-scoped objects and for all namespaces. */
  readonly namespace: string;
  readonly name: string;
  /** If the request selects objects by labels or fields. */
  readonly selector?: string | undefined;
  /** Of a manifest with several objects: the further ones, "Service shop/web"; the last one may say how it goes on. */
  readonly others?: readonly string[] | undefined;
}

/** Who asked for an operation, and for what; never a manifest or a secret. */
export interface RecordedRequest {
  /** Its principal, or "anonymous ADDRESS". */
  readonly caller?: string | undefined;
  readonly object?: RecordedObject | undefined;
  /** How it is done, if there are several ways: "server-side-apply, dry-run", "replicas=3". */
  readonly mode?: string | undefined;
}

/** A pending operation: a row of kubesvc_ops. */
export interface StoredOperation extends RecordedRequest {
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

/** An operation's history: a row of kubesvc_ops_history, or the known part of it while the operation is pending. */
export interface OperationRecord extends RecordedRequest {
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
  /** As the Kubernetes API names it: "create", "patch", "deletecollection". */
  readonly verb?: string | undefined;
  readonly requestBytes?: number | undefined;
  readonly responseBytes?: number | undefined;
  /** Of `refused`: the code of the error, such as `no-agent`. */
  readonly reason?: string | undefined;
  /** Of `refused`: how many requests the record stands for. */
  readonly count?: number | undefined;
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
  /** 0 is the first page; the cost grows with items × page. Default 0. */
  readonly page?: number;
  readonly account?: string | undefined;
  /** Operations with one of these outcomes; `pending`: under way. */
  readonly outcomes?: readonly (FinalOutcome | 'pending')[] | undefined;
  readonly type?: string | undefined;
  /** One of these: in the plural, without a subresource. */
  readonly resources?: readonly string[] | undefined;
  readonly namespace?: string | undefined;
  /** Of the object. */
  readonly name?: string | undefined;
  readonly caller?: string | undefined;
  /** The agent that it was sent to. */
  readonly agentId?: string | undefined;
  /** The instance that received it, or that sent it to the agent. */
  readonly instanceId?: string | undefined;
  /** Part of the account, the object's name or the message, in any case. */
  readonly search?: string | undefined;
  /** Started at this time or later, in ms UTC. */
  readonly since?: number | undefined;
  /** Started before this time, in ms UTC. */
  readonly until?: number | undefined;
  /** Only what comes after this position in the list. */
  readonly after?: OperationPosition | undefined;
}

/** A position in the list of operations, which is ordered by start and id, newest first. */
export interface OperationPosition {
  /** Start, in ms UTC. */
  readonly time: number;
  /** '' is the position before everything of that ms. */
  readonly id: string;
}

export interface FoundOperations {
  readonly records: readonly OperationRecord[];
  /**
   * Where the list goes on; absent: this was all. A page may have fewer records than were asked for, and none, because
   * a search looks at a limited number of candidates at a time.
   */
  readonly next?: OperationPosition;
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
