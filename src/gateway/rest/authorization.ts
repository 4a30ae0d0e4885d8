/**
 * Authorizes requests: each route names the role that it needs, and a route that names none needs the highest.
 * Instances authenticate as instances, callers with their identity; a header alone proves nothing.
 */

import { createHash } from 'node:crypto';
import { Transform } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { GatewayError, toGatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { refuseAccountToken } from '../auth/account-tokens.js';
import type { Admitted, Authentication } from '../auth/authentication.js';
import { certificateOf } from '../auth/certificate.js';
import { springCredentials } from '../auth/spring-credentials.js';
import { passesByCertificate, type Filter } from '../auth/filter.js';
import { callingInstance } from '../peers/calling-instance.js';
import { digestOf, instanceTokenHeader, type InstanceTokens } from '../peers/instance-tokens.js';
import { roles, type CallerGrant, type Role } from '../auth/policy.js';
import { forwardedByHeader, protobufMediaType } from '../peers/forwarding.js';
import type { Metrics } from '../telemetry/metrics.js';

/** `public`: for anyone who reaches the port, such as probes. */
export type RouteRole = Role | 'public';

export interface AccountTokensAccess {
  /** The setting that lets callers without credentials have them. */
  readonly setting: string;
  readonly anonymous: boolean;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly role?: RouteRole;
    /** Answers with tokens of accounts, to a client that may send its own as Spring Cloud Config does. */
    readonly accountTokens?: AccountTokensAccess;
  }
  interface FastifyRequest {
    /** The caller, if it has authenticated. */
    caller: Admitted<CallerGrant> | undefined;
    /** The id of the calling instance, if it has authenticated as one. */
    callingInstance: string | undefined;
    /** Digest of the body according to the instance's token, and of the body received. */
    bodyDigest: { readonly expected: string; actual: string } | undefined;
  }
}

export interface AuthorizationOptions {
  readonly callers: Authentication<CallerGrant> | undefined;
  /** Role of callers without credentials. */
  readonly anonymousRole: Role | 'none';
  /** Absent: instances present certificates, or do not have to authenticate. */
  readonly instanceTokens: InstanceTokens | undefined;
  /** Filters for the certificates of instances; none: instances present tokens, or do not have to authenticate. */
  readonly instanceFilters: readonly Filter[];
  /** Deadline for checking the credentials, in ms. */
  readonly timeoutMs: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const emptyDigest = digestOf(undefined);

/** Call this before the routes are registered. */
export function authorizeCalls(app: FastifyInstance, options: AuthorizationOptions): void {
  app.decorateRequest('caller', undefined);
  app.decorateRequest('callingInstance', undefined);
  app.decorateRequest('bodyDigest', undefined);

  app.addHook('onRequest', async (request) => {
    // A missing route needs no protection, and a public route needs no credentials.
    const role = request.routeOptions.config.role ?? 'admin';
    if (request.is404 || role === 'public') return;
    try {
      await admit(request, role, options);
      const { accountTokens } = request.routeOptions.config;
      if (accountTokens !== undefined) demandAccountTokens(request, accountTokens, options);
    } catch (thrown) {
      const error = toGatewayError(thrown);
      const { metrics, logger } = options;
      metrics.authentications.inc({ port: 'rest', outcome: error.code });
      const route = request.routeOptions.url;
      const address = request.socket.remoteAddress;
      logger.warn({ address, method: request.method, route, code: error.code, error: error.message }, 'request denied');
      throw error;
    }
  });

  app.addHook('preParsing', (request, _reply, payload, done) => {
    const digest = request.bodyDigest;
    // A body that is parsed as a whole is digested as a whole, in digestBody().
    if (digest === undefined || isProtobuf(request)) {
      done(null, payload);
      return;
    }
    const hash = createHash('sha256');
    const hashing = new Transform({
      transform: (chunk: Buffer, _encoding, next) => {
        hash.update(chunk);
        next(null, chunk);
      },
      flush: (next) => {
        digest.actual = hash.digest('base64url');
        next();
      },
    });
    payload.once('error', (error) => hashing.destroy(error));
    done(null, payload.pipe(hashing));
  });

  app.addHook('preValidation', async (request) => {
    const digest = request.bodyDigest;
    if (digest === undefined || digest.expected === digest.actual) return;
    options.metrics.authentications.inc({ port: 'rest', outcome: 'permission-denied' });
    throw new GatewayError('permission-denied', 'not a call from an instance: token refused: issued for another body', {
      field: instanceTokenHeader,
    });
  });
}

/** Called by the parser of protobuf bodies, which gets them whole. */
export function digestBody(request: FastifyRequest, body: Buffer): void {
  if (request.bodyDigest !== undefined) request.bodyDigest.actual = digestOf(body);
}

/** As records name the caller: its principal, or "anonymous ADDRESS". */
export function callerOf({ caller, socket }: FastifyRequest): string {
  return caller?.principal ?? `anonymous ${socket.remoteAddress ?? ''}`;
}

function isProtobuf(request: FastifyRequest): boolean {
  return request.headers['content-type']?.startsWith(protobufMediaType) === true;
}

async function admit(request: FastifyRequest, role: Role, options: AuthorizationOptions): Promise<void> {
  const { callers, anonymousRole, metrics } = options;
  if (isInstance(request, options)) return;
  refuseAccountToken(request.headers.authorization);
  const certificate = callers?.takesCertificates === true ? certificateOf(request.raw.socket) : undefined;
  const { authorization } =
    request.routeOptions.config.accountTokens === undefined ? request.headers : springCredentials(request.headers);
  const showsNothing = authorization === undefined && certificate === undefined;
  if (callers === undefined || (showsNothing && anonymousRole !== 'none')) {
    demand(role, anonymousRole, 'callers without credentials');
    return;
  }
  const caller = await callers.admit({ certificate, authorization }, AbortSignal.timeout(options.timeoutMs));
  request.caller = caller;
  demand(role, caller.grant?.role ?? 'none', caller.principal);
  metrics.authentications.inc({ port: 'rest', outcome: 'admitted' });
}

function demand(needed: Role, has: Role | 'none', who: string): void {
  if (has !== 'none' && roles.indexOf(has) >= roles.indexOf(needed)) return;
  throw new GatewayError('permission-denied', `this needs the role ${needed}; the role of ${who} is ${has}`);
}

/** @throws GatewayError `unauthenticated`, `permission-denied` */
function demandAccountTokens(
  { caller, callingInstance: instance }: FastifyRequest,
  { anonymous, setting }: AccountTokensAccess,
  { callers }: AuthorizationOptions,
): void {
  if (caller?.grant?.accountTokens === true || (caller === undefined && instance === undefined && anonymous)) return;
  if (caller !== undefined) {
    const message = `the answer has tokens of accounts: add accountTokens: true to the rule of ${caller.principal} in server.auth.policyFile`;
    throw new GatewayError('permission-denied', message);
  }
  const message = `the answer has tokens of accounts: callers must authenticate (server.auth), unless ${setting} is true`;
  throw new GatewayError(callers === undefined ? 'permission-denied' : 'unauthenticated', message, {
    field: 'authorization',
  });
}

/** Whether the caller has proven to be an instance. @throws as callingInstance() */
function isInstance(
  request: FastifyRequest,
  { callers, instanceTokens, instanceFilters }: AuthorizationOptions,
): boolean {
  const caller = callingInstance(
    {
      method: request.method,
      path: request.url,
      forwardedBy: header(request, forwardedByHeader),
      token: header(request, instanceTokenHeader),
      isProtobuf: isProtobuf(request),
    },
    {
      tokens: instanceTokens,
      hasInstanceCertificate:
        instanceFilters.length === 0 ? undefined : () => passesByCertificate(request.raw.socket, instanceFilters),
      callersProve: callers !== undefined,
    },
  );
  if (caller === undefined) return false;
  request.callingInstance = caller.instanceId;
  if (caller.bodyDigest !== undefined) request.bodyDigest = { expected: caller.bodyDigest, actual: emptyDigest };
  return true;
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}
