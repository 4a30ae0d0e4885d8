/** Agents that are connected or were, as rows of kubesvc_agents. Times in ms UTC, on the database's clock. */

/** Why an agent's stream ended. A closed set, so that it can be counted. */
export const departureReasons = [
  /** The agent ended its stream by itself, as it does when it is stopped. */
  'said goodbye',
  /** It was asked to connect again, because its instance drained or to balance agents, and has not. */
  'did not return',
  /** The connection broke, or nothing more came over it. */
  'connection lost',
  /** Somebody asked for it: `POST /armory/agent/{agentId}/disconnect`. */
  'disconnected on request',
  /** The agent came back, or wanted to stay, and was not let in; the message says why. */
  'refused',
  /** A newer connection took its place, and has ended before it was registered. */
  'replaced',
  /** Its instance was stopped, and the agent has not connected to another one. */
  'instance stopped',
  /** Its instance was killed or cut off, and the agent has not connected to another one. */
  'instance lost',
  /** The agent sent something that the gateway does not accept; the message says what. */
  'error',
] as const;
export type DepartureReason = (typeof departureReasons)[number];

/** What an instance writes about an agent that is, or was, connected to it. */
export interface AgentPresence {
  readonly agentId: string;
  readonly zoneId: string;
  readonly version: string;
  readonly instanceId: string;
  /** Number of the connection: a write of an older one changes nothing. */
  readonly epoch: number;
  readonly accounts: readonly string[];
  readonly connectedMsAgo: number;
  /** Absent: it is connected. */
  readonly gone?: {
    readonly msAgo: number;
    readonly reason: DepartureReason;
    readonly message?: string | undefined;
  };
}

/** A registration that was refused. */
export interface AgentRefusal {
  readonly agentId: string;
  readonly message: string;
}

/** An agent whose stream has ended, or whose instance is gone, and that has not come back. */
export interface OfflineAgent {
  readonly agentId: string;
  readonly zoneId: string;
  readonly version: string;
  /** The instance that held its last stream. */
  readonly instanceId: string;
  readonly accounts: readonly string[];
  readonly connectedTime: number;
  /** When its stream ended; if its instance was lost, the last sign of life of that. */
  readonly goneTime: number;
  readonly reason: DepartureReason;
  readonly message?: string;
  /** The agent that has taken its place: a later one of its zone. */
  readonly replacedBy?: string;
}
