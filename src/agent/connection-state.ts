/**
 * The states of an agent's connection.
 *
 *   idle          made, not started. start() leads to connecting.
 *   connecting    dials the next address; no stream. The transport leads to registering, a failure to backing-off.
 *   registering   connected, waits for Registered. Registered leads to active; a refusal or silence to backing-off.
 *   active        one registered stream carries everything. Its loss leads to backing-off; the gateway's Reconnect, or
 *                 three silent ping periods, to reconnecting.
 *   reconnecting  make before break: the old stream still serves while the agent waits out Reconnect's delay, dials
 *                 and registers anew, again with backoff when that fails. Registered leads to active, and the old
 *                 stream retires; the loss of the old stream leads to connecting, registering or backing-off,
 *                 whichever the new dial has reached. After silence, anything that is heard on the old stream before
 *                 leads back to active.
 *   backing-off   no stream; waits before it dials again.
 *   stopping      stop() was called: the streams serve until what executes is done, then end. Leads to stopped.
 *   stopped       final; nothing is open.
 */

import { status } from '@grpc/grpc-js';
import type { Reconnect_Reason } from '../protocol/generated/ops/operations_pb.js';
import type { StreamEnd } from './gateway-stream.js';

export type ConnectionState =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting'; readonly address: string }
  | { readonly name: 'registering'; readonly address: string }
  | {
      readonly name: 'active';
      readonly address: string;
      readonly clouddriverId: string;
      readonly epoch: bigint;
    }
  | { readonly name: 'reconnecting'; readonly reason: Reconnect_Reason }
  | {
      readonly name: 'backing-off';
      readonly waitMs: number;
      readonly cause: StreamEnd;
    }
  | { readonly name: 'stopping' }
  | { readonly name: 'stopped' };

/**
 * Ends that dialling again soon cannot fix: the registration is wrong or not allowed, the other end is not a gateway, or a
 * newer connection of the same agent id took over (ABORTED), and two agents would replace each other for ever.
 */
const refusals: ReadonlySet<status> = new Set([
  status.INVALID_ARGUMENT,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.ABORTED,
  status.ALREADY_EXISTS,
  status.FAILED_PRECONDITION,
  status.UNIMPLEMENTED,
]);

export function isRefusal(end: StreamEnd): boolean {
  return refusals.has(end.code);
}
