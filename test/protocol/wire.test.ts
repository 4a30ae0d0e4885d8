/** Bytes that pass through: what is read of them, what is appended, and that everything else survives. */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { test } from 'tap';
import {
  AgentMessageSchema,
  GatewayMessageSchema,
  OperationResultSchema,
  OperationSchema,
} from '../../src/protocol/generated/ops/operations_pb.js';
import { readDelimited, writeDelimited } from '../../src/protocol/delimited.js';
import {
  operationFrame,
  readAgentFrame,
  readOperationHeader,
  readResultHeader,
  readRoute,
  routedFrame,
  routingBytes,
  withOrigin,
  withOriginator,
  withRoute,
  withRouting,
} from '../../src/protocol/wire.js';

const operationOf = (init: Parameters<typeof create<typeof OperationSchema>>[1]): Uint8Array =>
  toBinary(OperationSchema, create(OperationSchema, init));
const resultOf = (init: Parameters<typeof create<typeof OperationResultSchema>>[1]): Uint8Array =>
  toBinary(OperationResultSchema, create(OperationResultSchema, init));
/** Field 900 = 7, which no version knows. */
const unknown = Buffer.from([0xa0, 0x38, 7]);

const text = fc.string({ maxLength: 20, unit: 'grapheme' });
/** Ids of operations and instances are never empty. */
const id = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' });
const times = fc.integer({ min: 1, max: 2 ** 50 });
const timeouts = fc.integer({ min: 1, max: 2 ** 32 - 1 });

test('the header of an operation', (t) => {
  const bytes = operationOf({
    ...{ id: 'id', account: 'account', timeoutMs: 4_000_000_000, originatingClouddriverId: 'gateway' },
    ...{ boundEpoch: 7n, boundProcessId: 'process' },
    ...{ receivedTimeMs: 1_795_000_000_000n, boundAgentId: 'agent', trace: { traceparent: 'parent', tracestate: 's' } },
    request: { case: 'runJob', value: { manifest: new Uint8Array([1]) } },
  });
  const expected = {
    ...{ id: 'id', account: 'account', timeoutMs: 4_000_000_000, originatingInstanceId: 'gateway' },
    ...{ boundEpoch: 7, boundProcessId: 'process' },
    ...{ receivedTime: 1_795_000_000_000, boundAgentId: 'agent', traceparent: 'parent', type: 'run_job' },
  };
  t.same(readOperationHeader(bytes), expected);
  t.same(readOperationHeader(Buffer.concat([unknown, bytes])), expected, 'behind fields that are not known');
  t.equal(readOperationHeader(Buffer.concat([operationOf({ id: 'x' }), unknown])).type, 'unknown', 'a newer request');
  t.match(readOperationHeader(new Uint8Array()), { id: '', account: '', timeoutMs: 0, type: '' });
  t.end();
});

test('what is appended wins over what was there, and the rest survives', (t) => {
  const names = fc.record({ id, account: text, agent: text, processId: text, originating: id });
  const property = fc.property(
    names,
    times,
    timeouts,
    timeouts,
    ({ id, account, agent, processId, originating }, time, early, late) => {
      const init = { account, timeoutMs: early, request: { case: 'get' as const, value: { object: { kind: 'Pod' } } } };
      const origin = { id, originatingInstanceId: 'first', receivedTime: time, traceparent: 'p', tracestate: 's' };
      const routed = withRouting(withOrigin(Buffer.concat([operationOf(init), unknown]), origin), late, {
        agentId: agent,
        epoch: 7,
        ...(processId === '' ? {} : { processId }),
      });
      const moved = withOriginator(routed, originating);
      const header = readOperationHeader(moved);
      const message = fromBinary(OperationSchema, moved);
      return (
        header.id === id &&
        header.account === account &&
        header.timeoutMs === late &&
        header.boundAgentId === agent &&
        header.boundEpoch === 7 &&
        header.boundProcessId === processId &&
        header.originatingInstanceId === originating &&
        header.receivedTime === time &&
        header.traceparent === 'p' &&
        message.id === id &&
        message.timeoutMs === late &&
        message.originatingClouddriverId === originating &&
        message.trace?.tracestate === 's' &&
        message.$unknown?.length === 1 &&
        Buffer.from(moved).includes(unknown)
      );
    },
  );
  t.doesNotThrow(() => fc.assert(property));
  t.end();
});

test('the header of a result, and its route', (t) => {
  const route = {
    ...{ processedByInstanceId: 'g1', processedTime: 1, sentToAgentId: 'a1', sentTime: 2 },
    ...{ answeredByAgentId: 'a2', answeredToInstanceId: 'g2', answeredTime: 3 },
  };
  const bytes = Buffer.concat([
    resultOf({ operationId: 'id', account: 'a', status: -1, durationMs: 5, message: 'm' }),
    unknown,
  ]);
  t.equal(readRoute(bytes), undefined);
  const routed = withRoute(bytes, route);
  t.same(readRoute(routed), route);
  t.same(readResultHeader(routed), {
    ...{ operationId: 'id', account: 'a', status: -1 },
    ...{ durationMs: 5, message: 'm', reason: '' },
  });
  t.ok(Buffer.from(routed).subarray(0, bytes.length).equals(bytes), 'the bytes that came are the beginning');
  const empty = { ...route, processedByInstanceId: '', processedTime: 0 };
  t.same(readRoute(withRoute(routed, empty)), empty, 'of two the later counts');
  t.same(fromBinary(OperationResultSchema, routed).route?.answeredTimeMs, 3n);
  t.end();
});

test('an operation in the frame of a GatewayMessage', (t) => {
  const property = fc.property(fc.uint8Array({ maxLength: 300 }), (manifest) => {
    const operation = operationOf({ id: 'id', request: { case: 'deploy', value: { manifest } } });
    const { message } = fromBinary(GatewayMessageSchema, operationFrame(operation));
    return message.case === 'operation' && Buffer.from(toBinary(OperationSchema, message.value)).equals(operation);
  });
  t.doesNotThrow(() => fc.assert(property));
  t.end();
});

test('messages of an agent', (t) => {
  const result = Buffer.concat([resultOf({ operationId: 'id', status: 200 }), unknown]);
  const framed = Buffer.concat([Buffer.from([0x22, result.length]), result]);
  const frame = readAgentFrame(framed);
  t.equal(frame.case, 'result');
  t.ok(frame.case === 'result' && Buffer.from(frame.bytes).equals(result), 'a result is passed on as it came');
  const odd = readAgentFrame(Buffer.concat([framed, unknown]));
  t.ok(odd.case === 'result' && Buffer.from(odd.bytes).includes(unknown), 'also beside a field that is not known');
  const pong = toBinary(
    AgentMessageSchema,
    create(AgentMessageSchema, { message: { case: 'pong', value: { sequence: 7n } } }),
  );
  t.match(readAgentFrame(pong), { case: 'pong', value: { sequence: 7n } });
  t.same(readAgentFrame(new Uint8Array()), { case: undefined });
  t.match(readAgentFrame(unknown), { case: undefined }, 'a kind of message that a newer agent knows');
  t.end();
});

test('sequences of messages', (t) => {
  const messages = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 });
  const property = fc.property(messages, (list) => {
    const read = readDelimited(writeDelimited(list), 'test');
    return read.length === list.length && read.every((bytes, index) => Buffer.from(bytes).equals(list[index]!));
  });
  t.doesNotThrow(() => fc.assert(property));
  const cut = writeDelimited([Buffer.from('message')]).subarray(0, 5);
  t.throws(() => readDelimited(cut, 'ops.Operation'), {
    ...{ code: 'invalid-argument', message: /^not a valid sequence of ops\.Operation: / },
  });
  t.end();
});

test('bytes that are no message are refused by name, whatever they are', (t) => {
  const readers = [
    readOperationHeader,
    readResultHeader,
    readRoute,
    readAgentFrame,
    (b: Uint8Array) => readDelimited(b, 'x'),
  ];
  const property = fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) =>
    readers.every((read) => {
      try {
        read(bytes);
        return true;
      } catch (error) {
        return (error as { code?: string }).code === 'invalid-argument';
      }
    }),
  );
  t.doesNotThrow(() => fc.assert(property, { numRuns: 500 }));
  t.throws(() => readOperationHeader(Buffer.from([0x0a, 0x05, 0x61])), {
    code: 'invalid-argument',
    message: /^not a valid ops\.Operation: /,
  });
  const registration = Buffer.from([0x0a, 0x04, 0x0a, 0x02, 0xff, 0xfe]);
  t.throws(() => readAgentFrame(registration), {
    code: 'invalid-argument',
    message: 'not a valid ops.AgentMessage: a string in it is not UTF-8',
  });
  t.end();
});

test('cut anywhere, a result is read as far as it is whole or refused, and never as another operation', (t) => {
  const bytes = resultOf({ operationId: '01ARZ3NDEKTSV4RRFFQ69G5FAV', status: 200, message: 'done' });
  for (let length = 0; length < bytes.length; length += 1) {
    let id: string | undefined;
    try {
      id = readResultHeader(bytes.subarray(0, length)).operationId;
    } catch {
      continue;
    }
    if (id !== '' && id !== '01ARZ3NDEKTSV4RRFFQ69G5FAV') t.fail(`${length} bytes read as ${id}`);
  }
  t.pass();
  t.end();
});

test('what gateways add to an operation is within the bound that they count with', (t) => {
  const operation = operationOf({ account: 'a', request: { case: 'get', value: { object: { kind: 'Pod' } } } });
  const binding = { agentId: 'a'.repeat(253), epoch: Number.MAX_SAFE_INTEGER, processId: 'p'.repeat(64) };
  const longest = routedFrame(withOriginator(operation, 'i'.repeat(253)), 2 ** 32 - 1, binding);
  const added = longest.length - operation.length;
  t.ok(added > routingBytes / 2 && added <= routingBytes, `${String(added)} bytes`);
  t.end();
});
