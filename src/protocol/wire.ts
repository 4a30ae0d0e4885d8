/**
 * Operations and results as bytes. A replica reads only the few fields that it routes by and passes the rest on
 * untouched: that is cheap, and fields that it does not know survive.
 *
 * It relies on two rules of the protobuf encoding (https://protobuf.dev/programming-guides/encoding/): of a field
 * that appears twice the last one wins, so appending sets; and an embedded message is its bytes behind a tag.
 */

import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  AgentMessageSchema,
  GatewayMessageSchema,
  OperationSchema,
  RouteSchema,
  OperationResultSchema,
  PongSchema,
  ResultReceiptSchema,
  ResultReceiptsSchema,
  TraceContextSchema,
  type AgentMessage,
  type GatewayMessage,
} from './generated/ops/operations_pb.js';
import { FieldWriter, newMessage } from './field-writer.js';
import { reading } from './reading.js';

/** The fields of an operation that a replica reads. */
export interface OperationHeader {
  readonly id: string;
  readonly account: string;
  readonly timeoutMs: number;
  readonly originatingInstanceId: string;
  readonly receivedTime: number;
  /** '' for none. */
  readonly boundAgentId: string;
  readonly boundEpoch: number;
  /** '' for none. */
  readonly boundProcessId: string;
  readonly traceparent: string;
  /** "deploy", "get" ...; "unknown" for a request that a newer version added, '' for none. */
  readonly type: string;
}

/** The fields of a result that a replica reads. */
export interface ResultHeader {
  readonly operationId: string;
  /** As the agent names it. */
  readonly account: string;
  readonly status: number;
  readonly durationMs: number;
  readonly message: string;
  readonly reason: string;
}

/** The route of an operation through the gateway (ops.Route): instances and agent, and their times in Unix ms. */
export interface OperationRoute {
  readonly processedByInstanceId: string;
  readonly processedTime: number;
  readonly sentToAgentId: string;
  readonly sentTime: number;
  readonly answeredByAgentId: string;
  readonly answeredToInstanceId: string;
  readonly answeredTime: number;
}

/** A message of an agent; of results only the bytes, which are passed on. */
export type ConnectFrame =
  { readonly case: 'result'; readonly bytes: Uint8Array } | Exclude<AgentMessage['message'], { case: 'result' }>;

const requestNames = new Map(
  OperationSchema.fields.filter((field) => field.oneof?.name === 'request').map((field) => [field.number, field.name]),
);
const numberOf = (schema: { field: Record<string, { number: number }> }, name: string): number => {
  const field = schema.field[name];
  if (field === undefined) throw new Error(`no field ${name}`);
  return field.number;
};

const operationFields = {
  id: numberOf(OperationSchema, 'id'),
  account: numberOf(OperationSchema, 'account'),
  timeoutMs: numberOf(OperationSchema, 'timeoutMs'),
  trace: numberOf(OperationSchema, 'trace'),
  originating: numberOf(OperationSchema, 'originatingClouddriverId'),
  receivedTime: numberOf(OperationSchema, 'receivedTimeMs'),
  boundAgentId: numberOf(OperationSchema, 'boundAgentId'),
  boundEpoch: numberOf(OperationSchema, 'boundEpoch'),
  boundProcessId: numberOf(OperationSchema, 'boundProcessId'),
};
const resultFields = {
  operationId: numberOf(OperationResultSchema, 'operationId'),
  account: numberOf(OperationResultSchema, 'account'),
  status: numberOf(OperationResultSchema, 'status'),
  message: numberOf(OperationResultSchema, 'message'),
  reason: numberOf(OperationResultSchema, 'reason'),
  durationMs: numberOf(OperationResultSchema, 'durationMs'),
  route: numberOf(OperationResultSchema, 'route'),
};
const routeFields = {
  processedBy: numberOf(RouteSchema, 'processedByClouddriverId'),
  processedTime: numberOf(RouteSchema, 'processedTimeMs'),
  sentToAgent: numberOf(RouteSchema, 'sentToAgentId'),
  sentTime: numberOf(RouteSchema, 'sentTimeMs'),
  answeredByAgent: numberOf(RouteSchema, 'answeredByAgentId'),
  answeredTo: numberOf(RouteSchema, 'answeredToClouddriverId'),
  answeredTime: numberOf(RouteSchema, 'answeredTimeMs'),
};
/** Length-delimited (https://protobuf.dev/programming-guides/encoding/#structure). */
const pongTag = (numberOf(AgentMessageSchema, 'pong') << 3) | 2;
const resultInAgentMessage = numberOf(AgentMessageSchema, 'result');
const cachingEndedInPong = numberOf(PongSchema, 'cachingEnded');
const operationInGatewayMessage = numberOf(GatewayMessageSchema, 'operation');
const receiptsInGatewayMessage = numberOf(GatewayMessageSchema, 'receipts');
const receiptInReceipts = numberOf(ResultReceiptsSchema, 'receipts');
const receiptFields = {
  operationId: numberOf(ResultReceiptSchema, 'operationId'),
  outcome: numberOf(ResultReceiptSchema, 'outcome'),
};
/** A tag and the length of up to 4 GB. */
const frameHead = 6;
/** The fields from here on are kinds of requests (proto/ops/operations.proto). */
const firstRequestField = 16;

/** @throws GatewayError `invalid-argument` if the bytes are not a protobuf message */
export function readOperationHeader(bytes: Uint8Array): OperationHeader {
  return reading('ops.Operation', () => {
    const header = {
      id: '',
      account: '',
      timeoutMs: 0,
      originatingInstanceId: '',
      receivedTime: 0,
      boundAgentId: '',
      boundEpoch: 0,
      boundProcessId: '',
      traceparent: '',
      type: '',
    };
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === operationFields.id) header.id = reader.string();
      else if (field === operationFields.account) header.account = reader.string();
      else if (field === operationFields.timeoutMs) header.timeoutMs = reader.uint32();
      else if (field === operationFields.originating) header.originatingInstanceId = reader.string();
      else if (field === operationFields.receivedTime) header.receivedTime = Number(reader.int64());
      else if (field === operationFields.boundAgentId) header.boundAgentId = reader.string();
      else if (field === operationFields.boundEpoch) header.boundEpoch = Number(reader.int64());
      else if (field === operationFields.boundProcessId) header.boundProcessId = reader.string();
      else if (field === operationFields.trace) header.traceparent = readFirstString(reader.bytes());
      else {
        if (field >= firstRequestField) header.type = requestNames.get(field) ?? 'unknown';
        reader.skip(wireType, field);
      }
    }
    return header;
  });
}

/** @throws GatewayError `invalid-argument` when the bytes are no protobuf message */
export function readResultHeader(bytes: Uint8Array): ResultHeader {
  return reading('ops.OperationResult', () => {
    const header = { operationId: '', account: '', status: 0, durationMs: 0, message: '', reason: '' };
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === resultFields.operationId) header.operationId = reader.string();
      else if (field === resultFields.account) header.account = reader.string();
      else if (field === resultFields.status) header.status = reader.int32();
      else if (field === resultFields.durationMs) header.durationMs = reader.uint32();
      else if (field === resultFields.message) header.message = reader.string();
      else if (field === resultFields.reason) header.reason = reader.string();
      else reader.skip(wireType, field);
    }
    return header;
  });
}

/** The route that gateways wrote into a result; the latest one wins. */
export function readRoute(bytes: Uint8Array): OperationRoute | undefined {
  return reading('ops.OperationResult', () => {
    let encoded: Uint8Array | undefined;
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === resultFields.route) encoded = reader.bytes();
      else reader.skip(wireType, field);
    }
    if (encoded === undefined) return undefined;
    const route = fromBinary(RouteSchema, encoded);
    return {
      processedByInstanceId: route.processedByClouddriverId,
      processedTime: Number(route.processedTimeMs),
      sentToAgentId: route.sentToAgentId,
      sentTime: Number(route.sentTimeMs),
      answeredByAgentId: route.answeredByAgentId,
      answeredToInstanceId: route.answeredToClouddriverId,
      answeredTime: Number(route.answeredTimeMs),
    };
  });
}

/** The only process of an agent that may get an operation, and the connection that it was first sent on. */
export interface Binding {
  readonly agentId: string;
  readonly epoch: number;
  /** Absent if the agent names none: then the connection identifies it. */
  readonly processId?: string;
}

/** The binding of a forwarded operation; undefined: any process may get it. */
export function bindingOf({
  boundAgentId,
  boundEpoch,
  boundProcessId,
}: Pick<OperationHeader, 'boundAgentId' | 'boundEpoch' | 'boundProcessId'>): Binding | undefined {
  if (boundAgentId === '') return undefined;
  return { agentId: boundAgentId, epoch: boundEpoch, ...(boundProcessId === '' ? {} : { processId: boundProcessId }) };
}

/**
 * The most bytes that gateways add to an operation before it reaches an agent as a GatewayMessage: the remaining time,
 * the binding (ids of 253 and 64 characters), another originating instance, the head of the frame, and tags and
 * lengths.
 */
export const routingBytes = 768;

/** The operation as it is sent to another instance: with its remaining time, and its binding if it has one. */
export function withRouting(operation: Uint8Array, timeoutMs: number, binding: Binding | undefined): Uint8Array {
  return routed(operation, timeoutMs, binding, 0).finish();
}

/** The same as a GatewayMessage for an agent. */
export function routedFrame(operation: Uint8Array, timeoutMs: number, binding: Binding | undefined): Uint8Array {
  return routed(operation, timeoutMs, binding, frameHead).finishIn(operationInGatewayMessage);
}

function routed(
  operation: Uint8Array,
  timeoutMs: number,
  binding: Binding | undefined,
  headBytes: number,
): FieldWriter {
  const { agentId = '', epoch = 0, processId = '' } = binding ?? {};
  return new FieldWriter(operation, [agentId, processId], 4, headBytes)
    .number(operationFields.timeoutMs, timeoutMs)
    .string(operationFields.boundAgentId, agentId)
    .number(operationFields.boundEpoch, epoch)
    .string(operationFields.boundProcessId, processId);
}

/** The origin of an operation: the fields that the originating instance adds. */
export interface OperationOrigin {
  readonly id: string;
  readonly originatingInstanceId: string;
  readonly receivedTime: number;
  /** '' for none. */
  readonly traceparent: string;
  readonly tracestate: string;
}

/** The operation with its id and origin added. */
export function withOrigin(operation: Uint8Array, origin: OperationOrigin): Uint8Array {
  const { id, originatingInstanceId, receivedTime, traceparent, tracestate } = origin;
  const strings = [id, originatingInstanceId, traceparent, tracestate];
  const writer = new FieldWriter(operation, strings, 6)
    .string(operationFields.id, id)
    .string(operationFields.originating, originatingInstanceId)
    .number(operationFields.receivedTime, receivedTime);
  if (traceparent !== '') {
    const trace = toBinary(TraceContextSchema, create(TraceContextSchema, { traceparent, tracestate }));
    writer.message(operationFields.trace, trace);
  }
  return writer.finish();
}

/** The operation with another originating instance. */
export function withOriginator(operation: Uint8Array, instanceId: string): Uint8Array {
  return new FieldWriter(operation, [instanceId], 1).string(operationFields.originating, instanceId).finish();
}

/** The result with this account. */
export function withAccount(result: Uint8Array, account: string): Uint8Array {
  return new FieldWriter(result, [account], 1).string(resultFields.account, account).finish();
}

/** The result with the route of its operation. */
export function withRoute(result: Uint8Array, route: OperationRoute): Uint8Array {
  const { processedByInstanceId, sentToAgentId, answeredByAgentId, answeredToInstanceId } = route;
  const strings = [processedByInstanceId, sentToAgentId, answeredByAgentId, answeredToInstanceId];
  const encoded = newMessage(strings, 7)
    .string(routeFields.processedBy, processedByInstanceId)
    .number(routeFields.processedTime, route.processedTime)
    .string(routeFields.sentToAgent, sentToAgentId)
    .number(routeFields.sentTime, route.sentTime)
    .string(routeFields.answeredByAgent, answeredByAgentId)
    .string(routeFields.answeredTo, answeredToInstanceId)
    .number(routeFields.answeredTime, route.answeredTime)
    .finish();
  return new FieldWriter(result, strings, 8).message(resultFields.route, encoded).finish();
}

/** A GatewayMessage that carries this operation. */
export function operationFrame(operation: Uint8Array): Uint8Array {
  return new FieldWriter(operation, [], 0, frameHead).finishIn(operationInGatewayMessage);
}

/** A ResultReceipt. */
export function encodeReceipt(operationId: string, outcome: number): Uint8Array {
  return newMessage([operationId], 2)
    .string(receiptFields.operationId, operationId)
    .number(receiptFields.outcome, outcome)
    .finish();
}

/** A GatewayMessage that carries encoded receipts. */
export function receiptsFrame(receipts: readonly Uint8Array[]): Uint8Array {
  const writer = new BinaryWriter().tag(receiptsInGatewayMessage, WireType.LengthDelimited).fork();
  for (const receipt of receipts) writer.tag(receiptInReceipts, WireType.LengthDelimited).bytes(receipt);
  return writer.join().finish();
}

/** A GatewayMessage of any other kind. */
export function gatewayFrame(message: GatewayMessage): Uint8Array {
  return toBinary(GatewayMessageSchema, message);
}

/** @throws GatewayError `invalid-argument` if the bytes are not an AgentMessage */
export function readAgentFrame(bytes: Uint8Array): ConnectFrame {
  return reading('ops.AgentMessage', () => {
    const reader = new BinaryReader(bytes);
    if (reader.len > 0) {
      const [field] = reader.tag();
      if (field === resultInAgentMessage) {
        const result = reader.bytes();
        if (reader.pos === reader.len) return { case: 'result', bytes: result };
      }
    }
    const { message } = fromBinary(AgentMessageSchema, bytes);
    return message.case === 'result'
      ? { case: 'result', bytes: toBinary(OperationResultSchema, message.value) }
      : message;
  });
}

/** Whether an AgentMessage is a Pong, the most frequent one: the first byte is enough to tell. */
export function isPong(bytes: Uint8Array): boolean {
  return bytes[0] === pongTag;
}

/** Whether the agent says that it has stopped caching. @param bytes an AgentMessage that isPong() */
export function readCachingEnded(bytes: Uint8Array): boolean {
  return reading('ops.Pong', () => {
    const reader = new BinaryReader(bytes);
    reader.tag();
    const end = reader.uint32() + reader.pos;
    let ended = false;
    while (reader.pos < end) {
      const [field, wireType] = reader.tag();
      if (field === cachingEndedInPong) ended = reader.bool();
      else reader.skip(wireType, field);
    }
    return ended;
  });
}

function readFirstString(bytes: Uint8Array): string {
  const reader = new BinaryReader(bytes);
  let text = '';
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) text = reader.string();
    else reader.skip(wireType, field);
  }
  return text;
}
