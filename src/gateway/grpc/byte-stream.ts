/** A bidirectional gRPC method whose messages stay bytes: protocol/wire.ts reads what is needed of them. */

import type { ServerDuplexStream, ServiceDefinition } from '@grpc/grpc-js';

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
