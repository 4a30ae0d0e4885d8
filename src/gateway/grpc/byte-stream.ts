/** A bidirectional gRPC method whose messages stay bytes: protocol/wire.ts reads what is needed of them. */

import type { ServerDuplexStream, ServiceDefinition } from '@grpc/grpc-js';
import type { GatewayError } from '../../core/errors.js';
import { toStatus } from './status.js';

export type ByteStream = ServerDuplexStream<Uint8Array, Uint8Array>;

const bytes = (value: Uint8Array): Buffer => Buffer.from(value.buffer, value.byteOffset, value.byteLength);
const asIs = (value: Buffer): Uint8Array => value;

/** @param path "/package.Service/Method" */
export function byteStreamMethod(path: string): ServiceDefinition[string] {
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: bytes,
    requestDeserialize: asIs,
    responseSerialize: bytes,
    responseDeserialize: asIs,
  };
}

/** Ends the call with the error's status, or with OK; a peer that has cancelled is told nothing. */
export function endCall(call: ByteStream, error: GatewayError | undefined): void {
  // emit('error') is how grpc-js ends a call with a status of ours.
  if (error === undefined || error.code === 'cancelled') call.end();
  else call.emit('error', Object.assign(new Error(error.message), toStatus(error)));
}
