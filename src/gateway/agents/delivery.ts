/** What is known of an operation when it is given to an agent's stream, and of the stream that got it. */

import type { Binding } from '../../protocol/wire.js';

/** Which stream an operation was given to. */
export interface Delivery extends Binding {
  readonly processedTime: number;
  readonly sentTime: number;
}

export interface DeliverableOperation {
  readonly id: string;
  readonly account: string;
  readonly originatingInstanceId: string;
  readonly timeoutMs: number;
  /** When this instance began with it, Unix ms; absent: at this moment. */
  readonly processedTime?: number;
  /** '' for none. */
  readonly traceparent: string;
  /** Only this process may have it: it was, or may have been, sent to it before, and another one would do it twice. */
  readonly binding: Binding | undefined;
}

/** What binds an operation to the process of this connection. */
export function bindingTo({ agentId, epoch, processId }: Binding): Binding {
  return { agentId, epoch, ...(processId === undefined ? {} : { processId }) };
}

/**
 * Whether a connection is one of the process that an operation is bound to: the very connection, or another one of a
 * process that says so. Of a process that names itself nowhere, nobody can tell it from a rival with the same id.
 */
export function isBoundTo(binding: Binding, connection: Binding): boolean {
  if (binding.agentId !== connection.agentId) return false;
  if (binding.epoch === connection.epoch) return true;
  return binding.processId !== undefined && binding.processId === connection.processId;
}

/** Whether a connection of the same agent is one of another process for sure. */
export function isOfAnotherProcess(binding: Binding, connection: Binding): boolean {
  return (
    binding.agentId === connection.agentId &&
    binding.processId !== undefined &&
    connection.processId !== undefined &&
    binding.processId !== connection.processId
  );
}
