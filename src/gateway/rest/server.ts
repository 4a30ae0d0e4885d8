/**
 * The REST API as a Fastify application that listens on nothing itself: listeners/port.ts hands sockets to its two servers,
 * HTTP/1.1 and HTTP/2, which share one set of routes.
 */

import type { FastifyPluginAsyncTypebox, TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { createServer as createHttp1, type RequestListener, type Server as Http1Server } from 'node:http';
import {
  createServer as createHttp2,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { Socket } from 'node:net';
import { GatewayError } from '../../core/errors.js';
import type { KubernetesApiHandler } from '../kubernetes-api/handler.js';
import { isKubernetesApi } from '../kubernetes-api/path.js';
import { protobufMediaType } from '../peers/forwarding.js';
import { attentionRoutes, type AttentionRoutesOptions } from './attention.js';
import { authorizeCalls, digestBody, type AuthorizationOptions } from './authorization.js';
import { accountChangeRoutes, accountDefinitionRoutes } from './account-changes.js';
import { accountRoutes, type AccountRoutesOptions } from './accounts.js';
import { accountTokenRoutes, type AccountTokenRoutesOptions } from './account-tokens.js';
import { agentRoutes, type AgentRoutesOptions } from './agents.js';
import { clusterRoutes, type ClusterRoutesOptions } from './cluster.js';
import { healthRoutes, type HealthRoutesOptions } from './health.js';
import { instanceRoutes, type InstanceRoutesOptions } from './instances.js';
import { kubeconfigRoutes, type KubeconfigRoutesOptions } from './kubeconfig.js';
import { describeApi } from './openapi.js';
import { operationListRoutes } from './operation-list.js';
import { answerOtherMethods } from './other-methods.js';
import { ownerRoutes, type OwnerRoutesOptions } from './owners.js';
import { operationRoutes, type OperationRoutesOptions } from './operations.js';
import { clientErrorHandler, errorHandler, sendProblem } from './problem.js';
import { MaybeUpgrade } from './maybe-upgrade.js';
import { limitRequestRate, type RequestRateOptions } from './request-rate.js';
import { springConfigRoutes, type SpringConfigRoutesOptions } from './spring-config.js';
import { endStalledConnections } from './stalled-connections.js';
import { validatorCompiler } from './validator.js';

export interface RestOptions
  extends
    OperationRoutesOptions,
    ClusterRoutesOptions,
    AccountRoutesOptions,
    AccountTokenRoutesOptions,
    AgentRoutesOptions,
    AttentionRoutesOptions,
    InstanceRoutesOptions,
    OwnerRoutesOptions,
    Partial<KubeconfigRoutesOptions>,
    Partial<SpringConfigRoutesOptions>,
    HealthRoutesOptions {
  readonly instanceId: string;
  readonly version: string;
  readonly logger: FastifyBaseLogger;
  readonly maxBodyBytes: number;
  readonly maxHeaderBytes: number;
  /** From a request's first byte to its last, in ms. */
  readonly requestTimeoutMs: number;
  /** Without any byte, in ms. */
  readonly idleTimeoutMs: number;
  readonly authorization: AuthorizationOptions;
  readonly requestRate: RequestRateOptions;
  /** Serves the requests of its paths by itself; absent: these paths do not exist. */
  readonly kubernetesApi: Pick<KubernetesApiHandler, 'request' | 'upgrade'> | undefined;
  /** Registered with the routes of this folder. */
  readonly console: FastifyPluginAsyncTypebox;
}

export interface RestServer {
  readonly app: FastifyInstance;
  http1(socket: Socket): void;
  http2(socket: Socket): void;
  /** Ends open requests' connections and closes both servers. */
  close(): Promise<void>;
}

const headersTimeoutMs = 10_000;

/** Routes limit the length of names (253: a DNS name, RFC 1035); this limit is for paths that contain no name. */
const maxParameterLength = 4_096;

/**
 * Streams that are reset as soon as they are opened (CVE-2023-44487) have ended one turn later, and have cost nothing.
 */
function unlessReset(handler: RequestListener) {
  return (request: Http2ServerRequest, response: Http2ServerResponse): void => {
    setImmediate(() => {
      if (!request.stream.destroyed) handler(request as never, response as never);
    });
  };
}

/** Requests of the Kubernetes API do not reach the framework, which would read their bodies. */
function withKubernetesApi(framework: RequestListener, kubernetesApi: RestOptions['kubernetesApi']): RequestListener {
  if (kubernetesApi === undefined) return framework;
  return (request, response) => {
    if (isKubernetesApi(request.url)) kubernetesApi.request(request, response);
    else framework(request, response);
  };
}

export async function createRestServer(options: RestOptions): Promise<RestServer> {
  const { instanceId, version, logger, maxBodyBytes, maxHeaderBytes, requestTimeoutMs, idleTimeoutMs, metrics } =
    options;
  const { kubernetesApi } = options;
  let http1: Http1Server | undefined;
  let http2: Http2Server | undefined;
  const sessions = new Set<ServerHttp2Session>();
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: maxBodyBytes,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: maxParameterLength },
    frameworkErrors: errorHandler(instanceId),
    clientErrorHandler: clientErrorHandler(instanceId),
    serverFactory: (framework) => {
      const handler = withKubernetesApi(framework, kubernetesApi);
      http1 = createHttp1(
        {
          IncomingMessage: MaybeUpgrade,
          maxHeaderSize: maxHeaderBytes,
          requestTimeout: requestTimeoutMs,
          headersTimeout: Math.min(headersTimeoutMs, requestTimeoutMs),
          connectionsCheckingInterval: Math.min(headersTimeoutMs, requestTimeoutMs),
          keepAliveTimeout: idleTimeoutMs,
          noDelay: true,
        },
        handler,
      );
      // Node.js begins to look for unfinished requests when its server listens. This one never does.
      http1.emit('listening');
      if (kubernetesApi !== undefined) {
        http1.on('upgrade', (request, socket, head) => {
          if (socket instanceof Socket) kubernetesApi.upgrade(request, socket, head);
        });
      }
      http2 = createHttp2(
        { settings: { maxHeaderListSize: maxHeaderBytes, maxConcurrentStreams: 1_000 } },
        unlessReset(handler),
      );
      http2.on('session', (session) => {
        sessions.add(session);
        session.once('close', () => sessions.delete(session));
        session.on('error', () => undefined);
      });
      endStalledConnections(http1, http2, {
        requestTimeoutMs,
        idleTimeoutMs,
        ended: () => {
          metrics.refusedConnections.inc({ port: 'rest', protocol: 'stalled' });
        },
      });
      return http1;
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setErrorHandler(errorHandler(instanceId));
  app.setNotFoundHandler((request, reply) => {
    void sendProblem(
      reply,
      new GatewayError(
        'invalid-argument',
        `no route ${request.method} ${request.url.slice(0, 200)}; see /openapi.json`,
      ),
      instanceId,
      404,
    );
  });
  // Fastify accepts text by default; no route here does.
  app.removeContentTypeParser('text/plain');
  app.addContentTypeParser(protobufMediaType, { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    digestBody(request, body);
    done(null, body);
  });
  authorizeCalls(app, options.authorization);
  await limitRequestRate(app, options.requestRate);
  await describeApi(app, version);
  const registerOtherMethods = answerOtherMethods(app, instanceId);
  await app.register(operationRoutes, options);
  await app.register(operationListRoutes, options);
  await app.register(clusterRoutes, options);
  await app.register(attentionRoutes, options);
  await app.register(agentRoutes, options);
  await app.register(accountRoutes, options);
  await app.register(accountChangeRoutes, options.dynamicAccounts);
  await app.register(accountDefinitionRoutes, options.dynamicAccounts);
  await app.register(accountTokenRoutes, options);
  await app.register(instanceRoutes, options);
  await app.register(ownerRoutes, options);
  const { kubeconfigs, springConfig } = options;
  if (kubeconfigs !== undefined) await app.register(kubeconfigRoutes, { kubeconfigs });
  if (springConfig !== undefined) await app.register(springConfigRoutes, { springConfig });
  await app.register(healthRoutes, options);
  await app.register(options.console);
  registerOtherMethods();
  await app.ready();

  return {
    app: app as unknown as FastifyInstance,
    http1: (socket) => http1?.emit('connection', socket),
    http2: (socket) => http2?.emit('connection', socket),
    close: async () => {
      for (const session of sessions) session.destroy();
      http1?.closeAllConnections();
      http1?.close();
      await app.close();
    },
  };
}
