/**
 * Operations and results between REST and the wire: text format, protobuf JSON and the binary message.
 *
 * A caller gets back the form that it sent; `Accept: application/json; form=text` or `form=json` asks for the other.
 */

import { createHash } from 'node:crypto';
import { create, fromBinary, fromJson, toBinary, toJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import { GatewayError, messageOf } from '../../core/errors.js';
import { parseJson } from '../../documents/exact-json.js';
import {
  OperationResultSchema,
  OperationSchema,
  TraceContextSchema,
  type Operation,
  type OperationResult,
} from '../../protocol/generated/ops/operations_pb.js';
import { formatText, parseText } from '../../protocol/text-format.js';
import { withOrigin } from '../../protocol/wire.js';
import { isReading } from '../operations/operation.js';
import { operationFromJson } from './operation-json.js';
import { requestedObject } from './requested-object.js';
import type { Submission } from '../operations/submission.js';

/** "runJob" to "run_job": operations are typed as the proto file names their requests. */
const typeNames = new Map(OperationSchema.fields.map(({ localName, name }) => [localName, name]));

export type Form = 'text' | 'json';
/** `objects`: protobuf JSON in which manifests are JSON and a log is text, not base64. */
export type AnswerForm = Form | 'objects';

/** A field of a body: text format, or protobuf JSON. */
export type Encoded = string | Record<string, unknown>;

/** @throws GatewayError `invalid-argument` with line and column, or with the field */
export function readOperation(encoded: Encoded): Operation {
  return typeof encoded === 'string'
    ? parseText(OperationSchema, encoded)
    : readJson('operation', () => operationFromJson(encoded as JsonObject));
}

/** @throws GatewayError `invalid-argument` */
export function readResult(encoded: Encoded): Uint8Array {
  const message =
    typeof encoded === 'string'
      ? parseText(OperationResultSchema, encoded)
      : readJson('result', () => fromJson(OperationResultSchema, encoded as JsonValue));
  return toBinary(OperationResultSchema, message);
}

/** @param sent the caller's operation: JSON goes back as it came, with the fields that were added */
export function writeOperation(operation: Operation, form: AnswerForm, sent: Encoded): Encoded {
  if (form === 'text') return formatText(OperationSchema, operation);
  if (typeof sent === 'string') return toJson(OperationSchema, operation) as Encoded;
  const { id, originatingClouddriverId, receivedTimeMs } = operation;
  // The body is no longer needed; copying it would take longer than all the rest here.
  return Object.assign(sent, { id, originatingClouddriverId, receivedTimeMs: String(receivedTimeMs) });
}

export function writeResult(result: Uint8Array, form: AnswerForm): Encoded {
  const message = fromBinary(OperationResultSchema, result);
  if (form === 'text') return formatText(OperationResultSchema, message);
  return form === 'json' ? resultJson(message, base64, base64) : resultJson(message, jsonOf, textOf);
}

/**
 * Like toJson(), but Node.js encodes large bytes as base64, because the library's own encoding takes longer than all
 * the rest.
 * @param manifest writes the bytes of an object, and `log` those of a log
 */
export function resultJson(
  message: OperationResult,
  manifest: (bytes: Uint8Array) => unknown = base64,
  log: (bytes: Uint8Array) => string = base64,
): Record<string, unknown> {
  const { body } = message;
  if (body.case !== 'objects' && body.case !== 'logs')
    return toJson(OperationResultSchema, message) as Record<string, unknown>;
  const json = toJson(OperationResultSchema, { ...message, body: { case: undefined } }) as Record<string, unknown>;
  if (body.case === 'logs')
    return { ...json, logs: body.value.text.length === 0 ? {} : { text: log(body.value.text) } };
  const { manifests, continue: next } = body.value;
  const objects = {
    ...(manifests.length === 0 ? {} : { manifests: manifests.map(manifest) }),
    ...(next === '' ? {} : { continue: next }),
  };
  return { ...json, objects };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** With its numbers as they are. What is no JSON stays base64. */
function jsonOf(bytes: Uint8Array): unknown {
  try {
    return parseJson(textOf(bytes));
  } catch {
    return base64(bytes);
  }
}

/** The form that a caller wants its answer in. */
export function formOf(accept: string | undefined, sent: Encoded): Form {
  const asked = /;\s*form=(text|json)\b/u.exec(accept ?? '')?.[1];
  if (asked === 'text' || asked === 'json') return asked;
  return typeof sent === 'string' ? 'text' : 'json';
}

/** The same, for an answer that may have objects. */
export function answerFormOf(accept: string | undefined, sent: Encoded): AnswerForm {
  return /;\s*manifests=object\b/u.test(accept ?? '') ? 'objects' : formOf(accept, sent);
}

/**
 * @param caller its principal, or "anonymous ADDRESS"
 * @param trace the trace that the operation continues
 */
export function toSubmission(
  operation: Operation,
  caller: string,
  instanceId: string,
  { traceparent, tracestate }: { readonly traceparent: string; readonly tracestate: string },
): Submission {
  const { id, account, timeoutMs } = operation;
  const type =
    operation.request.case === undefined
      ? operation.$unknown?.length
        ? 'unknown'
        : ''
      : (typeNames.get(operation.request.case) ?? '');
  operation.id = '';
  operation.timeoutMs = 0;
  if (operation.trace !== undefined) delete operation.trace;
  operation.originatingClouddriverId = '';
  operation.receivedTimeMs = 0n;
  // The request and its account, without id, time-out, trace and instance: equal requests have equal bytes.
  const asked = toBinary(OperationSchema, operation);
  operation.timeoutMs = timeoutMs;
  return {
    id,
    account,
    type,
    timeoutMs,
    caller,
    ...requestedObject(operation),
    digest: isReading(type) && id === '' ? '' : createHash('sha256').update(asked).digest('base64url'),
    encode: (chosenId, receivedTime) => {
      operation.id = chosenId;
      operation.originatingClouddriverId = instanceId;
      operation.receivedTimeMs = BigInt(receivedTime);
      if (traceparent !== '') operation.trace = create(TraceContextSchema, { traceparent, tracestate });
      return withOrigin(asked, {
        id: chosenId,
        originatingInstanceId: instanceId,
        receivedTime,
        traceparent,
        tracestate,
      });
    },
  };
}

function readJson<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    // The library throws plain errors for invalid JSON; a TypeError is a fault inside it, and belongs in the log.
    const reason = error instanceof TypeError ? 'malformed value' : messageOf(error);
    throw new GatewayError('invalid-argument', `${field}: not valid protobuf JSON: ${reason}`, {
      field,
      cause: error,
    });
  }
}
