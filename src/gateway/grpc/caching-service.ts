/** `events.Caching` on grpc-js. Cached objects are not stored by this version: agents are told so at once. */

import {
  status,
  type ServerDuplexStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';

const bytes = (value: Uint8Array): Buffer => Buffer.from(value.buffer, value.byteOffset, value.byteLength);
const asIs = (value: Buffer): Uint8Array => value;

export const cachingDefinition: ServiceDefinition = {
  stream: {
    path: '/events.Caching/Stream',
    requestStream: true,
    responseStream: true,
    requestSerialize: bytes,
    requestDeserialize: asIs,
    responseSerialize: bytes,
    responseDeserialize: asIs,
  },
};

export function createCachingService(): UntypedServiceImplementation {
  return {
    stream: (call: ServerDuplexStream<Uint8Array, Uint8Array>) => {
      call.emit(
        'error',
        Object.assign(new Error('refused'), {
          code: status.UNIMPLEMENTED,
          details: 'cached objects are not stored by this version of the gateway',
        }),
      );
    },
  };
}
