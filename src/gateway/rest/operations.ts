/** `/armory/agent/operations` and `/armory/agent/operationresults`: callers, scripts and other instances. */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { unlessLate } from '../../core/deadline.js';
import { GatewayError, messageOf } from '../../core/errors.js';
import { quoteLargeIntegers, stringifyJson } from '../../documents/exact-json.js';
import { bindingOf, operationFrame, readResultHeader } from '../../protocol/wire.js';
import type { OperationStore } from '../../store/operations/operations.js';
import type { Registry } from '../agents/registry.js';
import { forwardedByHeader, operationPath, operationResultPath } from '../peers/forwarding.js';
import { deliverForwarded, takeForwardedResults } from '../peers/receiving.js';
import type { Results } from '../operations/results.js';
import type { Accepted, Acceptance } from '../operations/acceptance.js';
import type { Refusals } from '../operations/refusals.js';
import type { Submission } from '../operations/submission.js';
import type { Span, Tracing } from '../telemetry/tracing.js';
import { callerOf } from './authorization.js';
import {
  answerFormOf,
  formOf,
  readOperation,
  readResult,
  toSubmission,
  writeOperation,
  writeResult,
} from './encoding.js';
import { historySchema, toHistory } from './history.js';
import { nameSchema } from './names.js';
import { problems } from './problem.js';

export interface OperationRoutesOptions {
  readonly instanceId: string;
  readonly acceptance: Acceptance;
  readonly registry: Registry;
  readonly results: Results;
  readonly refusals: Pick<Refusals, 'add'>;
  readonly operations: OperationStore;
  readonly tracing: Tracing;
}

const encoded = (message: string) =>
  Type.Union([
    Type.String({ description: `Text format of ${message}.` }),
    Type.Record(Type.String(), Type.Unknown(), { description: `Protobuf JSON of ${message}.` }),
  ]);

const scale = { object: { kind: 'Deployment', namespace: 'shop', name: 'web' }, replicas: 3 };
const operationId = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const operationRequest = Type.Object(
  { operation: encoded('ops.Operation') },
  {
    additionalProperties: false,
    examples: [
      { operation: { account: 'prod-eu', scale } },
      { operation: 'account: "prod-eu" restart { object { kind: "Deployment" namespace: "shop" name: "web" } }' },
    ],
  },
);
const operationAnswer = Type.Object(
  { operation: encoded('ops.Operation'), result: Type.Optional(encoded('ops.OperationResult')) },
  {
    examples: [
      {
        operation: { account: 'prod-eu', scale, id: operationId, originatingClouddriverId: 'gateway-7d9c5b8f6-x2x9k' },
        result: { operationId, account: 'prod-eu', status: 200, message: 'scaled' },
      },
    ],
  },
);
const answerHeaders = Type.Object({
  location: Type.String({ description: 'Path of the record of the operation.' }),
  'preference-applied': Type.Optional(Type.String({ description: 'respond-async, if that was asked for.' })),
});
const acceptedAnswers = {
  200: {
    description:
      'The owner has taken the operation. With a `result`, it has ended, and may have failed: `result.status` is 200 to 299 only if it completed.',
    headers: answerHeaders,
    content: { 'application/json': { schema: operationAnswer } },
  },
  202: {
    description: 'The owner has taken the operation, and has no result yet: read the record at `Location`.',
    headers: answerHeaders,
    content: { 'application/json': { schema: operationAnswer } },
  },
};
const sendOperation = {
  operationId: 'sendOperation',
  tags: ['operations'],
  summary: 'Send an operation to the agent that serves its account.',
  description:
    'The response is sent when the owner has taken the operation; `Location` leads to its record. With `Prefer: wait=SECONDS` (RFC 7240) it is sent when the result is there; if the wait ends first, it is 202. `Prefer: respond-async` makes it 202 at once. The response has the format of the request (text format or protobuf JSON), unless `Accept: application/json; form=text|json` asks for the other; with `Accept: application/json; manifests=object` it is JSON, the objects of the result are JSON instead of base64, and a log is text.',
  headers: Type.Object({
    prefer: Type.Optional(Type.String({ examples: ['wait=30', 'respond-async'] })),
    accept: Type.Optional(Type.String({ examples: ['application/json; manifests=object'] })),
  }),
  body: operationRequest,
  response: {
    ...acceptedAnswers,
    ...problems(400, 404, 409, 413, 415, 429, 500, 502, 503, 504),
  },
};
const resultFields = { result: encoded('ops.OperationResult') };
const resultExamples = [{ result: { operationId, account: 'prod-eu', status: 200, message: 'done by hand' } }];
const resultRequest = Type.Object(resultFields, { additionalProperties: false, examples: resultExamples });
const resultAnswer = Type.Object(resultFields, { examples: resultExamples });
const finishOperation = {
  operationId: 'finishOperation',
  tags: ['operations'],
  summary: 'Finish an operation with a result, on whichever instance it waits.',
  description:
    'The response is sent when the result is recorded, and contains the result in the format of the request (text format or protobuf JSON), unless `Accept: application/json; form=text|json` asks for the other.',
  body: resultRequest,
  response: { 200: resultAnswer, ...problems(400, 404, 409, 413, 415, 500, 503) },
};
const getOperation = {
  operationId: 'getOperation',
  tags: ['operations'],
  summary: 'Show the history record of an operation.',
  description:
    'The record of a reading operation (get, list, logs, access_review) is written after the response, so it may take a moment to appear.',
  params: Type.Object({ operationId: nameSchema(128, { examples: [operationId] }) }),
  response: { 200: historySchema, ...problems(400, 404, 414, 500, 503) },
};

export const operationRoutes: FastifyPluginCallbackTypebox<OperationRoutesOptions> = (app, options, done) => {
  const { instanceId, acceptance, registry, results, refusals, operations, tracing } = options;
  const submissions = new WeakMap<FastifyRequest, Submission>();
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body: string, done) =>
    parseJson(request, quoteLargeIntegers(body), done),
  );

  app.post(
    operationPath,
    {
      config: { role: 'operate' },
      preValidation: answerOperations(registry),
      onError: (request, _reply, error, next) => {
        countRefusal(refusals, request, submissions.get(request), error);
        next();
      },
      // The protobuf library makes the bodies; checking a union again takes longer than making them.
      serializerCompiler: () => JSON.stringify,
      schema: sendOperation,
    },
    async (request, reply) => {
      const sent = request.body.operation;
      const operation = readOperation(sent);
      const { traceparent, tracestate, prefer, accept } = request.headers;
      const caller = operation.trace ?? {
        traceparent: header(traceparent) ?? '',
        tracestate: header(tracestate) ?? '',
      };
      const span = tracing.start('operation', { kind: 'server', parent: caller });
      const submission = toSubmission(operation, callerOf(request), instanceId, span?.context ?? caller);
      submissions.set(request, submission);
      const form = answerFormOf(accept, sent);
      // Every refusal happens before the operation is on its way.
      const { waitMs, isAsync } = preferencesOf(prefer);
      const accepted = await traced(span, submission, () => acceptance.submit(submission));
      operation.id = accepted.id;
      void reply.header('location', `${operationPath}/${accepted.id}`);
      const answer = { operation: writeOperation(operation, form, sent) };
      const result = waitMs === undefined ? undefined : await unlessLate(accepted.result, waitMs);
      if (result !== undefined) {
        // Of objects that are written as such, every number must stay as it is.
        if (form === 'objects') void reply.type('application/json').serializer(stringifyJson);
        return { ...answer, result: writeResult(result, form) };
      }
      if (isAsync) void reply.header('preference-applied', 'respond-async');
      if (isAsync || waitMs !== undefined) void reply.code(202);
      return answer;
    },
  );

  app.post(
    operationResultPath,
    {
      config: { role: 'operate' },
      preValidation: answerResults(results),
      serializerCompiler: () => JSON.stringify,
      schema: finishOperation,
    },
    async ({ headers, body: { result: sent } }) => {
      const taken = readResult(sent);
      await results.fromInstance(taken, headers[forwardedByHeader] !== undefined);
      return { result: writeResult(taken, formOf(headers.accept, sent)) };
    },
  );

  app.get(
    `${operationPath}/:operationId`,
    {
      config: { role: 'read' },
      schema: getOperation,
    },
    async (request) => {
      const { operationId } = request.params;
      const record = await operations.find(operationId);
      if (record === undefined)
        throw new GatewayError('unknown-operation', `operation ${operationId} is not known`, { operationId });
      return toHistory(record);
    },
  );

  done();
};

// Instances send the protobuf message itself, and are answered before validation, which is for callers' JSON.

/** Sends forwarded operations to streams of this instance, or answers "not owner". */
function answerOperations(registry: OperationRoutesOptions['registry']) {
  return (request: FastifyRequest, reply: FastifyReply, next: () => void): void => {
    if (!Buffer.isBuffer(request.body)) {
      next();
      return;
    }
    const outcomes = deliverForwarded(request.body, (header, operation) =>
      registry.deliver({ ...header, binding: bindingOf(header) }, operationFrame(operation)),
    );
    void reply.type('application/json').send(JSON.stringify(outcomes));
  };
}

function answerResults(results: OperationRoutesOptions['results']) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    if (!Buffer.isBuffer(request.body)) return undefined;
    const outcomes = await takeForwardedResults(request.body, (result) => results.fromInstance(result, true));
    return reply.type('application/json').send(JSON.stringify(outcomes));
  };
}

/** Counts a request that was refused; of those of other instances, the one that was asked counts it. */
function countRefusal(
  refusals: Pick<Refusals, 'add'>,
  request: FastifyRequest,
  submission: Submission | undefined,
  error: Error,
): void {
  if (!(error instanceof GatewayError) || request.headers[forwardedByHeader] !== undefined) return;
  const { account = '', type = '', object, mode } = submission ?? {};
  refusals.add({ caller: callerOf(request), account, type, object, mode, error });
}

/** Ends the span when the operation has its result, or is refused. */
async function traced(
  span: Span | undefined,
  { type, account, caller = '', object }: Submission,
  submit: () => Promise<Accepted>,
): Promise<Accepted> {
  if (span === undefined) return submit();
  const { resource = '', namespace = '', name = '' } = object ?? {};
  const attributes = {
    'agent_gateway.operation.type': type,
    'agent_gateway.account': account,
    'agent_gateway.caller': caller,
    'agent_gateway.resource': resource,
    'agent_gateway.namespace': namespace,
    'agent_gateway.name': name,
  };
  const failed = (error: unknown): void => {
    span.end(attributes, messageOf(error));
  };
  try {
    const accepted = await submit();
    accepted.result.then((result) => {
      const { status, message } = readResultHeader(result);
      const ended = { ...attributes, 'agent_gateway.operation.id': accepted.id, 'agent_gateway.status': status };
      span.end(ended, status < 300 ? undefined : message);
    }, failed);
    return accepted;
  } catch (error) {
    failed(error);
    throw error;
  }
}

function header(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

/** The preferences of RFC 7240 that this route knows; others are ignored. @throws GatewayError `invalid-argument` */
function preferencesOf(prefer = ''): { readonly waitMs: number | undefined; readonly isAsync: boolean } {
  const preferences = prefer.split(',').map((part) => part.trim());
  const isAsync = preferences.some((preference) => /^respond-async\s*(?:;|$)/iu.test(preference));
  const wait = preferences.find((preference) => /^wait\s*=/iu.test(preference));
  if (wait === undefined) return { waitMs: undefined, isAsync };
  const seconds = /^wait\s*=\s*"?(\d{1,6})"?\s*(?:;|$)/iu.exec(wait)?.[1];
  if (seconds === undefined) {
    const message = `prefer: expected wait=SECONDS, got "${wait.slice(0, 64)}"`;
    throw new GatewayError('invalid-argument', message, { field: 'prefer' });
  }
  return { waitMs: Number(seconds) * 1_000, isAsync };
}
