/** A bidirectional gRPC method whose messages stay bytes: protocol/wire.ts reads the fields that are needed. */

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

/** Ends the call with the error's status, or with OK; a client that has cancelled is sent nothing. */
export function endCall(call: ByteStream, error: GatewayError | undefined): void {
  // In grpc-js, emit('error') ends a call with a status of our own.
  if (error === undefined || error.code === 'cancelled') call.end();
  else call.emit('error', Object.assign(new Error(error.message), toStatus(error)));
}
