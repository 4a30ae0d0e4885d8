/** The hand-written codec of kubernetes.Api, compared with the generated messages in both directions. */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { test } from 'tap';
import { GatewayError } from '../../src/core/errors.js';
import {
  AgentFrameSchema,
  AgentFramesSchema,
  GatewayFrameSchema,
  GatewayFramesSchema,
  type AgentFrame,
  type GatewayFrame,
} from '../../src/protocol/generated/kubernetes/api_pb.js';
import { decodeFrames, encodeFrames, type TunnelFrame } from '../../src/tunnel/frames.js';

const text = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.string({ minLength: 100, maxLength: 300 }));
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const headers = fc.array(text, { maxLength: 8 });
const request = fc.oneof(fc.nat(), fc.integer({ min: 0, max: 2 ** 48 }));

const requestHead = fc.record({
  kind: fc.constant('request-head' as const),
  request,
  head: fc.record({ account: text, method: text, target: text, headers, upgrade: text }),
  body: bytes,
  complete: fc.boolean(),
});
const responseHead = fc.record({
  kind: fc.constant('response-head' as const),
  request,
  head: fc.record({ status: fc.nat(70_000), headers }),
  body: bytes,
  complete: fc.boolean(),
});
const hello = fc.record({
  kind: fc.constant('hello' as const),
  request,
  agentId: text,
  epoch: fc.integer({ min: 0, max: 2 ** 48 }),
});
const common = fc.oneof(
  fc.record({ kind: fc.constant('data' as const), request, data: bytes }),
  fc.record({ kind: fc.constant('end' as const), request, trailers: headers }),
  fc.record({ kind: fc.constant('cancel' as const), request, message: text }),
  fc.record({ kind: fc.constant('consumed' as const), request, bytes: fc.nat(2 ** 31) }),
  fc.record({ kind: fc.constant('unknown' as const), request }),
);

/** As the generated messages say it. */
function content(frame: TunnelFrame): GatewayFrame['content'] | AgentFrame['content'] {
  switch (frame.kind) {
    case 'request-head':
      return {
        case: 'requestHead',
        value: {
          $typeName: 'kubernetes.RequestHead',
          ...frame.head,
          headers: [...frame.head.headers],
          body: Buffer.from(frame.body),
          complete: frame.complete,
        },
      };
    case 'response-head':
      return {
        case: 'responseHead',
        value: {
          $typeName: 'kubernetes.ResponseHead',
          status: frame.head.status,
          headers: [...frame.head.headers],
          body: Buffer.from(frame.body),
          complete: frame.complete,
        },
      };
    case 'data':
      return { case: 'data', value: Buffer.from(frame.data) };
    case 'end':
      return { case: 'end', value: { $typeName: 'kubernetes.End', trailers: [...frame.trailers] } };
    case 'cancel':
      return { case: 'cancel', value: { $typeName: 'kubernetes.Cancel', message: frame.message } };
    case 'consumed':
      return { case: 'consumed', value: frame.bytes };
    case 'hello':
      return {
        case: 'hello',
        value: { $typeName: 'kubernetes.Hello', agentId: frame.agentId, epoch: BigInt(frame.epoch) },
      };
    case 'unknown':
      return { case: undefined };
  }
}

function gatewayMessage(frames: readonly TunnelFrame[]): Uint8Array {
  const all = frames.map((frame) =>
    create(GatewayFrameSchema, {
      request: BigInt(frame.request),
      content: content(frame) as GatewayFrame['content'],
    }),
  );
  return toBinary(GatewayFramesSchema, create(GatewayFramesSchema, { frames: all }));
}

function agentMessage(frames: readonly TunnelFrame[]): Uint8Array {
  const all = frames.map((frame) =>
    create(AgentFrameSchema, { request: BigInt(frame.request), content: content(frame) as AgentFrame['content'] }),
  );
  return toBinary(AgentFramesSchema, create(AgentFramesSchema, { frames: all }));
}

const toGateway = fc.array(fc.oneof(responseHead, hello, common), { maxLength: 5 });
const toAgent = fc.array(fc.oneof(requestHead, common), { maxLength: 5 });
/** Views of bytes compare as their bytes. */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, each: unknown) => (each instanceof Uint8Array ? [...each] : each)));

test('reads what generated code writes', async (t) => {
  fc.assert(
    fc.property(toAgent, (frames) => {
      t.strictSame(plain(decodeFrames('kubernetes.GatewayFrames', gatewayMessage(frames))), plain(ordered(frames)));
    }),
  );
  fc.assert(
    fc.property(toGateway, (frames) => {
      t.strictSame(plain(decodeFrames('kubernetes.AgentFrames', agentMessage(frames))), plain(ordered(frames)));
    }),
  );
});

test('writes what generated code reads, in exactly its size', async (t) => {
  fc.assert(
    fc.property(toAgent, (frames) => {
      const message = encodeFrames(frames);
      t.equal(message.length, gatewayMessage(frames).length);
      t.strictSame(toBinary(GatewayFramesSchema, fromBinary(GatewayFramesSchema, message)), gatewayMessage(frames));
    }),
  );
  fc.assert(
    fc.property(toGateway, (frames) => {
      const message = encodeFrames(frames);
      t.equal(message.length, agentMessage(frames).length);
      t.strictSame(toBinary(AgentFramesSchema, fromBinary(AgentFramesSchema, message)), agentMessage(frames));
    }),
  );
});

test('bodies are views of the message', async (t) => {
  const message = encodeFrames([{ kind: 'data', request: 1, data: Buffer.alloc(70_000, 1) }]);
  const [frame] = decodeFrames('kubernetes.GatewayFrames', message);
  t.equal(frame?.kind === 'data' && frame.data.buffer, message.buffer);
});

test('skips unknown fields', async (t) => {
  const unknown = Buffer.from([0x80 | 0x08, 0x06, 0x96, 0x01, 0x9a, 0x06, 2, 1, 2, 0xa1, 6, 1, 2, 3, 4, 5, 6, 7, 8]);
  const frame = gatewayMessage([{ kind: 'consumed', request: 7, bytes: 9 }]).subarray(2);
  const longer = Buffer.concat([unknown, frame, unknown]);
  const message = Buffer.concat([unknown, Buffer.from([0x0a, longer.length]), longer, unknown]);
  t.strictSame(decodeFrames('kubernetes.GatewayFrames', message), [{ kind: 'consumed', request: 7, bytes: 9 }]);
});

test('malformed bytes are refused by name, and never more', async (t) => {
  const sample = gatewayMessage([
    {
      kind: 'request-head',
      request: 1,
      head: { account: 'ä', method: 'GET', target: '/', headers: ['a', 'b'], upgrade: '' },
      body: Buffer.from('body'),
      complete: true,
    },
  ]);
  const refused = (message: Uint8Array): boolean => {
    try {
      decodeFrames('kubernetes.GatewayFrames', message);
      return false;
    } catch (error) {
      if (!(error instanceof GatewayError) || error.code !== 'invalid-argument') throw error;
      t.match(error.message, /^not a valid kubernetes\.GatewayFrames: /u);
      return true;
    }
  };
  for (let length = 1; length < sample.length; length += 1) t.ok(refused(sample.subarray(0, length)));
  fc.assert(fc.property(fc.uint8Array(), (noise) => void refused(noise)));
  t.ok(refused(Buffer.from([0x0a, 0x05, 0x12, 0x03, 0x0a, 0x01, 0xff])), 'not UTF-8');
});

/** In the order of fields that a decoded frame has. */
function ordered(frames: readonly TunnelFrame[]): TunnelFrame[] {
  return frames.map(({ request: number, ...rest }) => ({ ...rest, request: number }));
}
