/** What is known of an operation when it is given to an agent's stream, and of the stream that got it. */

/** Which stream an operation was given to. */
export interface Delivery {
  readonly agentId: string;
  readonly epoch: number;
  readonly processedTime: number;
  readonly sentTime: number;
}

export interface DeliverableOperation {
  readonly id: string;
  readonly account: string;
  readonly originatingInstanceId: string;
  readonly timeoutMs: number;
  /** '' for none. */
  readonly traceparent: string;
  /** Only this agent may have it: it was sent to it before, and another one would do it twice. */
  readonly onlyAgentId: string | undefined;
}
