/** `events.Caching` on grpc-js. Cached objects are not stored by this version: agents are told so at once. */

import { status, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { byteStreamMethod, type ByteStream } from './byte-stream.js';

export const cachingDefinition: ServiceDefinition = { stream: byteStreamMethod('/events.Caching/Stream') };

export function createCachingService(): UntypedServiceImplementation {
  return {
    stream: (call: ByteStream) => {
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
