/** An operation as it is given to an agent's stream, and the stream that got it. */

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
  /**
   * Only this process may get the operation: it may already have got it, and another process would execute it twice.
   */
  readonly binding: Binding | undefined;
}

/** What binds an operation to the process of this connection. */
export function bindingTo({ agentId, epoch, processId }: Binding): Binding {
  return { agentId, epoch, ...(processId === undefined ? {} : { processId }) };
}

/**
 * Whether a connection belongs to the process that an operation is bound to: the same connection, or another one with
 * the same process id. A process that sends no process id cannot be told from a rival with the same agent id.
 */
export function isBoundTo(binding: Binding, connection: Binding): boolean {
  if (binding.agentId !== connection.agentId) return false;
  if (binding.epoch === connection.epoch) return true;
  return binding.processId !== undefined && binding.processId === connection.processId;
}

/** Whether a connection of the same agent certainly belongs to another process. */
export function isOfAnotherProcess(binding: Binding, connection: Binding): boolean {
  return (
    binding.agentId === connection.agentId &&
    binding.processId !== undefined &&
    connection.processId !== undefined &&
    binding.processId !== connection.processId
  );
}
