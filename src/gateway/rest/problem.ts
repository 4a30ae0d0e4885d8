/** The one table from our error codes to RFC 9457 problems, and Fastify's error handler that applies it. */

import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import Type, { type Static } from 'typebox';
import { GatewayError, messageOf, type ErrorCode } from '../../core/errors.js';
import { invalidRequest } from './validation.js';

export const problemMediaType = 'application/problem+json' as const;

export const problemSchema = Type.Object(
  {
    type: Type.String({
      description: 'Stable name of the kind of problem.',
      examples: ['urn:agent-gateway:problem:unknown-account'],
    }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What is wrong, and what to do.' }),
    instance: Type.String({ description: 'The instance that sent this response.' }),
    operationId: Type.Optional(Type.String()),
    account: Type.Optional(Type.String()),
    accounts: Type.Optional(
      Type.Array(Type.String(), { description: 'The accounts that the problem concerns, if the request has several.' }),
    ),
    field: Type.Optional(Type.String({ description: 'The field, parameter or header that the problem concerns.' })),
  },
  {
    description: 'RFC 9457 problem details.',
  },
);
export type Problem = Static<typeof problemSchema>;

interface ProblemResponse {
  readonly description: string;
  readonly content: { readonly [problemMediaType]: { readonly schema: typeof problemSchema } };
}

/** For a route's `response`: these statuses answer with a problem. */
export function problems(...statuses: readonly number[]): Readonly<Record<number, ProblemResponse>> {
  return Object.fromEntries(
    [...statuses, 401, 403].map((status) => {
      const content = { [problemMediaType]: { schema: exampleSchema(status) } };
      return [status, { description: descriptions[status] ?? '', content }];
    }),
  );
}

/** The schema with an example of this status. */
function exampleSchema(status: number): typeof problemSchema {
  const example = examples[status];
  if (example === undefined) return problemSchema;
  return {
    ...problemSchema,
    examples: [toProblem(example, 'gateway-7d9c5b8f6-x2x9k', status)],
  } as typeof problemSchema;
}

const descriptions: Readonly<Record<number, string>> = {
  400: 'The request is malformed; `field` names the part concerned.',
  401: 'The caller must authenticate, or its credentials are not valid.',
  403: 'The caller is not allowed to do this.',
  404: 'Not found.',
  409: 'The request conflicts with what is recorded.',
  413: 'The body, or the operation in it, is too large.',
  414: 'The path is too long.',
  415: 'The body is not JSON.',
  429: 'A limit was reached; `Retry-After` says when to retry.',
  431: 'The headers are too large.',
  500: 'An error in the gateway; its log has the cause.',
  502: 'The agent disconnected while it executed the operation.',
  503: 'The agent, its owner or a dependency is not available; `Retry-After` says when to retry.',
  504: 'There was no result in time.',
};

const table: Readonly<Record<ErrorCode, { readonly status: number; readonly title: string }>> = {
  'invalid-argument': { status: 400, title: 'Invalid request' },
  'unknown-account': { status: 404, title: 'Unknown account' },
  'account-conflict': { status: 409, title: 'Not possible for this account' },
  'unknown-agent': { status: 404, title: 'Unknown agent' },
  'unknown-instance': { status: 404, title: 'Unknown instance' },
  'unknown-operation': { status: 404, title: 'Unknown operation' },
  'operation-ended': { status: 409, title: 'Operation has ended' },
  'operation-conflict': { status: 409, title: 'Operation id used before' },
  'not-gone': { status: 409, title: 'Still there' },
  'not-owner': { status: 421, title: 'Not the owner' },
  'no-agent': { status: 503, title: 'No agent connected' },
  'owner-unreachable': { status: 503, title: 'Owner unreachable' },
  overloaded: { status: 429, title: 'Too many requests' },
  draining: { status: 503, title: 'Instance is shutting down' },
  'agent-lost': { status: 502, title: 'Agent lost' },
  'timed-out': { status: 504, title: 'No result in time' },
  cancelled: { status: 409, title: 'Operation cancelled' },
  'too-large': { status: 413, title: 'Too large' },
  replaced: { status: 409, title: 'Replaced by a newer connection' },
  'dependency-unavailable': { status: 503, title: 'A dependency does not answer' },
  configuration: { status: 500, title: 'Configuration error' },
  unauthenticated: { status: 401, title: 'Not authenticated' },
  'permission-denied': { status: 403, title: 'Not allowed' },
  'not-implemented': { status: 501, title: 'Not available' },
  internal: { status: 500, title: 'Internal error' },
};

const account = 'prod-eu';
const operationId = '01ARZ3NDEKTSV4RRFFQ69G5FAV';

/** By HTTP status, for the description of the API. */
const examples: Readonly<Record<number, GatewayError>> = {
  400: new GatewayError('invalid-argument', 'query.items: expected at least 1', { field: 'query.items' }),
  401: new GatewayError('unauthenticated', 'no credentials', { field: 'authorization' }),
  403: new GatewayError('permission-denied', 'this needs the role admin; the role of policy:deployers is operate'),
  404: new GatewayError('unknown-account', `account "${account}" is not known: no agent has registered it`, {
    account,
  }),
  409: new GatewayError('operation-ended', `operation ${operationId} has already ended: completed`, { operationId }),
  413: new GatewayError('too-large', 'body: larger than server.maxBodySize allows', { field: 'body' }),
  414: new GatewayError('invalid-argument', 'path: a name in it is too long', { field: 'path' }),
  415: new GatewayError('invalid-argument', 'content-type: expected application/json or application/x-protobuf', {
    field: 'content-type',
  }),
  429: new GatewayError('overloaded', 'too many requests from this caller (server.maxRequestsPerSecond)'),
  500: new GatewayError('internal', 'unexpected error; see the log of this instance'),
  501: new GatewayError('not-implemented', 'dynamic accounts are off: set kubesvc.dynamicAccounts.enabled'),
  502: new GatewayError('agent-lost', `agent agent-5c9f-7h2kq disconnected during operation ${operationId}`, {
    operationId,
    account,
  }),
  503: new GatewayError('no-agent', `no agent is connected for account "${account}"`, { account }),
  504: new GatewayError('timed-out', `operation ${operationId} had no result after 30000 ms`, { operationId, account }),
};

/** Our codes for Fastify's own errors, by HTTP status. */
const frameworkCodes: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid-argument',
  413: 'too-large',
  429: 'overloaded',
  503: 'overloaded',
};

/** @param status in place of the table's, for requests that the framework refuses */
export function toProblem(error: GatewayError, instanceId: string, status: number = table[error.code].status): Problem {
  const { title } = table[error.code];
  const { operationId, account, accounts, field } = error.details;
  return {
    type: `urn:agent-gateway:problem:${error.code}`,
    title,
    status,
    detail: error.message,
    instance: instanceId,
    ...(operationId === undefined ? {} : { operationId }),
    ...(account === undefined ? {} : { account }),
    ...(accounts === undefined ? {} : { accounts: [...accounts] }),
    ...(field === undefined ? {} : { field }),
  };
}

/** @param status in place of the table's, for requests that the framework refuses */
export function sendProblem(
  reply: FastifyReply,
  error: GatewayError,
  instanceId: string,
  status?: number,
): FastifyReply {
  const problem = toProblem(error, instanceId, status);
  const { retryAfterMs } = error.details;
  if (retryAfterMs !== undefined) void reply.header('retry-after', Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  if (error.code === 'unauthenticated') void reply.header('www-authenticate', 'Bearer');
  return reply.code(problem.status).type(problemMediaType).send(JSON.stringify(problem));
}

/**
 * Turns anything that a handler threw into a problem; an unexpected error is logged with its cause and shown without
 * it.
 */
export function errorHandler(instanceId: string) {
  return (thrown: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const error = toKnown(thrown, request);
    if (table[error.code].status >= 500 && error.code === 'internal') {
      request.log.error(
        { method: request.method, route: request.routeOptions.url, error: messageOf(error.cause ?? error) },
        'request failed',
      );
    }
    void sendProblem(reply, error, instanceId, thrown instanceof GatewayError ? undefined : clientFault(thrown));
  };
}

/** How long a client may take to read why its request is not accepted, in ms. */
const lingerMs = 1_000;

/** Answers bytes that Node.js could not read as HTTP/1.1: no request exists yet, so this writes to the socket. */
export function clientErrorHandler(instanceId: string) {
  return (error: Error & { readonly code?: string }, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const [status, reason, detail] = unreadable[error.code ?? ''] ?? [
      400,
      'Bad Request',
      'not a valid HTTP/1.1 request',
    ];
    const problem = toProblem(new GatewayError('invalid-argument', detail), instanceId, status);
    const body = JSON.stringify(problem);
    const head = `HTTP/1.1 ${String(status)} ${reason}\r\ncontent-type: ${problemMediaType}\r\ncontent-length: ${String(Buffer.byteLength(body))}\r\nconnection: close\r\n\r\n`;
    socket.end(head + body);
    // Clients that do not end their direction would keep the connection, and what waits for the rest of their request.
    const lingering = setTimeout(() => socket.destroy(), lingerMs);
    socket.once('close', () => {
      clearTimeout(lingering);
    });
  };
}

const unreadable: Readonly<Record<string, readonly [number, string, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'the headers are larger than server.maxHeaderSize'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'the request was not complete in time'],
};

/** The status of a request that the framework refused as the client's fault. */
function clientFault(thrown: unknown): number | undefined {
  const { statusCode = 500 } = thrown as Partial<FastifyError>;
  return statusCode >= 400 && statusCode < 500 ? statusCode : undefined;
}

function toKnown(thrown: unknown, request: FastifyRequest): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  const error = thrown as Partial<FastifyError>;
  const status = clientFault(thrown);
  if (status === 415)
    return new GatewayError('invalid-argument', 'content-type: expected application/json or application/x-protobuf', {
      field: 'content-type',
    });
  if (status === 413)
    return new GatewayError('too-large', 'body: larger than server.maxBodySize allows', { field: 'body' });
  const code = frameworkCodes[error.statusCode ?? 500] ?? (status === undefined ? undefined : 'invalid-argument');
  if (code === undefined)
    return new GatewayError('internal', 'unexpected error; see the log of this instance', { cause: thrown });
  const invalid = invalidRequest(error, request);
  if (invalid !== undefined) return new GatewayError(code, invalid.message, { field: invalid.field });
  const field = error.code?.startsWith('FST_ERR_CTP') === true ? 'body' : undefined;
  // An error that is not Fastify's own comes from a parser, with JavaScript's text.
  const message = error.code?.startsWith('FST_') === true ? messageOf(thrown) : 'the request cannot be read';
  return new GatewayError(code, message, { cause: thrown, ...(field === undefined ? {} : { field }) });
}
