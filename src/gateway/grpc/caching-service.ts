/** `events.Caching` on grpc-js: turns calls into sessions, and messages into those of the domain. */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { GatewayError, toGatewayError } from '../../core/errors.js';
import {
  CachingMessageSchema,
  CachingReplySchema,
  ObjectEvent_Type,
  type CachingReply,
  type Scope,
} from '../../protocol/generated/events/caching_pb.js';
import type { StoredResumePoint } from '../../store/cache/cached-object.js';
import { validateText } from '../agents/account-description.js';
import type { CachingIngest } from '../caching/ingest.js';
import {
  CachingSession,
  type CachingStreamMessage,
  type CachingTransport,
  type EventType,
} from '../caching/session.js';
import { admitStream, type AdmissionOptions } from './admission.js';
import { byteStreamMethod, endCall, type ByteStream } from './byte-stream.js';

export const cachingDefinition: ServiceDefinition = { stream: byteStreamMethod('/events.Caching/Stream') };

/** @param handshakeTimeoutMs from the start of a stream to its CachingHello */
export function createCachingService(
  ingest: CachingIngest,
  handshakeTimeoutMs: number,
  admission: AdmissionOptions,
): UntypedServiceImplementation {
  return {
    stream: (call: ByteStream) => {
      admitStream(call, admission, (peer) => {
        serve(call, peer?.owner, ingest, handshakeTimeoutMs);
      });
    },
  };
}

function serve(call: ByteStream, owner: string | undefined, ingest: CachingIngest, handshakeTimeoutMs: number): void {
  const session = new CachingSession(ingest, transportOf(call, ingest), owner);
  const handshake = setTimeout(() => {
    if (session.introduced) return;
    session.close(new GatewayError('timed-out', `expected a CachingHello within ${String(handshakeTimeoutMs)} ms`));
  }, handshakeTimeoutMs);
  const ended = () => {
    clearTimeout(handshake);
    session.close();
  };
  call.on('data', (bytes: Uint8Array) => {
    try {
      const message = readMessage(bytes);
      if (message !== undefined) session.receive(message);
    } catch (error) {
      session.close(toGatewayError(error));
    }
  });
  call.on('drain', () => {
    session.drained();
  });
  call.on('end', () => {
    clearTimeout(handshake);
    session.finish();
  });
  call.on('cancelled', ended);
  call.on('error', ended);
}

const types: Readonly<Partial<Record<ObjectEvent_Type, EventType>>> = {
  [ObjectEvent_Type.ADDED]: 'added',
  [ObjectEvent_Type.MODIFIED]: 'modified',
  [ObjectEvent_Type.DELETED]: 'deleted',
};

/** undefined: a kind of message of a newer protocol version. @throws GatewayError `invalid-argument` */
function readMessage(encoded: Uint8Array): CachingStreamMessage | undefined {
  const { message } = decode(encoded);
  const bytes = encoded.length;
  switch (message.case) {
    case 'hello': {
      const { agentId, epoch, accounts } = message.value;
      validateText('hello.agent_id', agentId, nameLength);
      accounts.forEach((account, index) => {
        validateText(`hello.accounts[${String(index)}]`, account, nameLength);
      });
      return { case: 'hello', bytes, agentId, epoch: Number(epoch), accounts };
    }
    case 'events': {
      const { sequence, scope, events, resourceVersion } = message.value;
      validateText('events.resource_version', resourceVersion, resourceVersionLength);
      return {
        case: 'events',
        bytes,
        sequence: Number(sequence),
        scope: readScope(scope),
        events: events.map(({ type, object }) => ({ type: types[type], object })),
        resourceVersion,
      };
    }
    case 'snapshotStart':
    case 'snapshotEnd': {
      const { sequence, scope, resourceVersion } = message.value;
      validateText('snapshot.resource_version', resourceVersion, resourceVersionLength);
      return { case: message.case, bytes, sequence: Number(sequence), scope: readScope(scope), resourceVersion };
    }
    case undefined:
      return undefined;
  }
}

function decode(bytes: Uint8Array) {
  try {
    return fromBinary(CachingMessageSchema, bytes);
  } catch (error) {
    throw new GatewayError('invalid-argument', 'not a valid events.CachingMessage', { cause: error });
  }
}

const nameLength = 253;
/** Of kubesvc_resourceversion. */
const resourceVersionLength = 255;
const scopeName = /^[A-Za-z0-9._/-]*$/u;

function readScope(scope: Scope | undefined) {
  const { account = '', apiVersion = '', kind = '', namespace = '' } = scope ?? {};
  const names = [apiVersion, kind, namespace];
  if (account === '' || kind === '' || names.some((name) => name.length > nameLength || !scopeName.test(name))) {
    throw new GatewayError(
      'invalid-argument',
      'scope: account and kind must be set, and every field must be a valid name',
      {
        field: 'scope',
      },
    );
  }
  return { account, apiVersion, kind, namespace };
}

function transportOf(call: ByteStream, { kinds: { settings } }: CachingIngest): CachingTransport {
  const reply = (message: CachingReply['message']): boolean =>
    call.write(toBinary(CachingReplySchema, create(CachingReplySchema, { message })));
  return {
    peer: call.getPeer(),
    resumeAt: ({ streams, points }) =>
      reply({
        case: 'resume',
        value: {
          $typeName: 'events.Resume',
          accounts: [...streams.keys()],
          points: points.map((point) => ({
            $typeName: 'events.ResumePoint',
            scope: scopeOf(point),
            resourceVersion: point.resourceVersion,
          })),
          kinds: {
            $typeName: 'events.KindSelection',
            all: settings.cacheAll,
            kinds: settings.cacheAll ? [] : [...settings.cacheKinds],
            omitted: [...settings.cacheOmitKinds],
          },
        },
      }),
    acknowledge: (sequence) =>
      reply({ case: 'acknowledgement', value: { $typeName: 'events.Acknowledgement', sequence: BigInt(sequence) } }),
    stop: (accounts) => reply({ case: 'stop', value: { $typeName: 'events.Stop', accounts: [...accounts] } }),
    pause: () => {
      call.pause();
    },
    resume: () => {
      call.resume();
    },
    end: (error) => {
      endCall(call, error);
    },
  };
}

/** The version is dropped: it does not matter for resuming. */
function scopeOf({ account, key }: StoredResumePoint): Scope {
  const [namespace = '', group = '', kind = ''] = key.split('_');
  return { $typeName: 'events.Scope', account, apiVersion: group === '' ? '' : `${group}/`, kind, namespace };
}
