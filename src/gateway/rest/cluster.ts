/**
 * Routes that any instance answers for the whole cluster. An instance that is asked by another one (the header of
 * forwarding.ts) answers for itself alone.
 */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import { GatewayError } from '../../core/errors.js';
import type { Database } from '../../store/sql/database.js';
import type { CachingAssigner } from '../agents/caching-assignment/assigner.js';
import type { Registry } from '../agents/registry.js';
import { readOwnItem, type EveryInstance, type InstanceAnswer } from '../peers/every-instance.js';
import { assignmentsPath, disconnectPath, poolSettingsPath, resendPath } from '../peers/calls.js';
import { forwardedByHeader } from '../peers/forwarding.js';
import { resendTimeoutMs, type Resend } from '../operations/resend.js';
import { nameSchema } from './names.js';
import { problems } from './problem.js';

export interface ClusterRoutesOptions {
  readonly instanceId: string;
  readonly everyInstance: EveryInstance;
  readonly resend: Pick<Resend, 'run'>;
  readonly cachingAssignment: Pick<CachingAssigner, 'assign' | 'follow'>;
  readonly registry: Registry;
  readonly database: Pick<Database, 'settings'>;
  /** How long another instance may take, in ms. */
  readonly forwardTimeoutMs: number;
}

const maxAccounts = 1_000;

const clouddriverId = Type.String({ description: 'The instance.', examples: ['gateway-7d9c5b8f6-x2x9k'] });
const error = Type.Optional(
  Type.String({ description: 'Why this instance did not answer. The other fields are absent.' }),
);

const resendReport = Type.Object(
  {
    clouddriverId,
    operations: Type.Optional(Type.Integer({ description: 'Stored operations that have not ended.' })),
    sent: Type.Optional(Type.Integer({ description: 'Of these, operations that were sent to an agent.' })),
    waiting: Type.Optional(
      Type.Integer({
        description: 'Of these, operations whose agent is not connected; it gets them when it reconnects.',
      }),
    ),
    error,
  },
  { examples: [{ clouddriverId: 'gateway-7d9c5b8f6-x2x9k', operations: 3, sent: 2, waiting: 1 }] },
);

const poolSettings = Type.Object(
  {
    clouddriverId,
    engine: Type.Optional(Type.Enum(['mysql', 'postgresql', 'pglite'])),
    address: Type.Optional(Type.String({ description: 'Without user, password and parameters.' })),
    maxPoolSize: Type.Optional(Type.Integer()),
    connectionTimeoutMs: Type.Optional(Type.Integer()),
    queryTimeoutMs: Type.Optional(Type.Integer()),
    tls: Type.Optional(Type.Boolean()),
    error,
  },
  {
    examples: [
      {
        clouddriverId: 'gateway-7d9c5b8f6-x2x9k',
        engine: 'mysql',
        address: 'mysql.spinnaker:3306',
        maxPoolSize: 20,
        connectionTimeoutMs: 5_000,
        queryTimeoutMs: 10_000,
        tls: true,
      },
    ],
  },
);

const cachedAccount = Type.Object(
  {
    account: Type.String(),
    agentId: Type.Optional(
      Type.String({
        description:
          'The agent that caches it. Absent while a disconnected agent may still be caching; another agent takes over within seconds.',
      }),
    ),
    clouddriverId: Type.Optional(clouddriverId),
  },
  { examples: [{ account: 'prod-eu', agentId: 'agent-5c9f-7h2kq', clouddriverId: 'gateway-7d9c5b8f6-x2x9k' }] },
);

const disconnectRequest = Type.Object(
  {
    clusterDriven: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Set on a request from another instance: this one then answers only for itself.',
      }),
    ),
    origin: Type.Optional(Type.String({ maxLength: 255, description: 'The instance that sent the request.' })),
    timestamp: Type.Optional(
      Type.Integer({
        minimum: 0,
        description:
          'Unix time in ms. Streams that were opened later, by the clock of the instance that holds them, are not closed.',
      }),
    ),
  },
  {
    additionalProperties: false,
    examples: [{ clusterDriven: false, origin: 'runbook', timestamp: 1_772_323_200_000 }],
  },
);

const disconnectAnswer = Type.Object(
  {
    agentId: Type.String(),
    clouddriverIds: Type.Array(Type.String(), { description: 'The instances that held a stream of the agent.' }),
  },
  { examples: [{ agentId: 'agent-5c9f-7h2kq', clouddriverIds: ['gateway-7d9c5b8f6-x2x9k'] }] },
);

export const clusterRoutes: FastifyPluginCallbackTypebox<ClusterRoutesOptions> = (app, options, done) => {
  const { instanceId, everyInstance, resend, cachingAssignment, registry, database, forwardTimeoutMs } = options;

  app.post(
    resendPath,
    {
      config: { role: 'admin' },
      schema: {
        operationId: 'resendOperations',
        tags: ['operations'],
        summary: 'Resend stored, unfinished operations from every instance to its agents.',
        description:
          'Agents ignore operations that they are executing and answer those that they have executed, so no operation is executed twice. The response has one item for each instance, with an `error` if it does not answer.',
        response: { 200: Type.Array(resendReport), ...problems(500, 503) },
      },
    },
    async (request) => {
      const own = async () => ({ clouddriverId: instanceId, ...(await resend.run()) });
      if (isForwarded(request)) return [await own()];
      const call = { method: 'POST', path: resendPath, timeoutMs: resendTimeoutMs } as const;
      return (await everyInstance.ask<ReportItem>(call, own, (answer) => readOwnItem(answer) as ReportItem)).map(
        itemOf,
      );
    },
  );

  app.get(
    poolSettingsPath,
    {
      config: { role: 'read' },
      schema: {
        operationId: 'getSqlPoolSettings',
        tags: ['instances'],
        summary: 'Show the settings of the SQL pool of every instance, without secrets.',
        description: 'The response has one item for each instance, with an `error` if it does not answer.',
        response: { 200: Type.Array(poolSettings), ...problems(500, 503) },
      },
    },
    async (request) => {
      const own = { clouddriverId: instanceId, ...database.settings() };
      if (isForwarded(request)) return [own];
      const call = { method: 'GET', path: poolSettingsPath, timeoutMs: forwardTimeoutMs } as const;
      return (
        await everyInstance.ask<PoolItem>(
          call,
          () => Promise.resolve(own),
          (answer) => readOwnItem(answer) as PoolItem,
        )
      ).map(itemOf);
    },
  );

  app.post(
    assignmentsPath,
    {
      config: { role: 'operate' },
      schema: {
        operationId: 'assignCaching',
        tags: ['agents'],
        summary: 'Assign the caching of accounts to connected agents that serve them.',
        description:
          'If an agent caches an account already, nothing changes for that account. If no connected agent serves some of the accounts, the others are assigned and the response is a 404 that lists those in `accounts`.',
        body: Type.Array(nameSchema(255), {
          maxItems: maxAccounts,
          examples: [['prod-eu', 'prod-us']],
        }),
        response: { 200: Type.Array(cachedAccount), ...problems(400, 404, 413, 415, 500, 503, 504) },
      },
    },
    async (request) => {
      const cached = isForwarded(request)
        ? await cachingAssignment.follow(request.body)
        : await cachingAssignment.assign(request.body);
      return cached.map(({ account, by }) =>
        by === undefined ? { account } : { account, agentId: by.agentId, clouddriverId: by.instanceId },
      );
    },
  );

  app.post(
    disconnectPath(':agentId'),
    {
      config: { role: 'admin' },
      schema: {
        operationId: 'disconnectAgent',
        tags: ['agents'],
        summary: 'Disconnect an agent from the instance that holds its stream. Its operations and caching end, too.',
        description:
          'The agent reconnects by itself. Operations that it was executing then get their result, or end at their deadline.',
        params: Type.Object({ agentId: nameSchema(253, { examples: ['agent-5c9f-7h2kq'] }) }),
        body: disconnectRequest,
        response: { 200: disconnectAnswer, ...problems(400, 404, 413, 414, 415, 500, 503) },
      },
    },
    async (request) => {
      const { agentId } = request.params;
      const { clusterDriven = false, timestamp } = request.body;
      const before = timestamp === undefined || timestamp === 0 ? Number.POSITIVE_INFINITY : timestamp;
      const own = () => registry.disconnect(agentId, before);
      const answers: readonly InstanceAnswer<boolean>[] =
        clusterDriven || isForwarded(request)
          ? [{ instanceId, answer: await own() }]
          : await everyInstance.ask(
              {
                method: 'POST',
                path: disconnectPath(encodeURIComponent(agentId)),
                body: { clusterDriven: true, origin: instanceId, ...(timestamp === undefined ? {} : { timestamp }) },
                timeoutMs: forwardTimeoutMs,
              },
              own,
              wasConnected,
            );
      return { agentId, clouddriverIds: instancesThatHeld(agentId, answers) };
    },
  );

  done();
};

type ReportItem = Type.Static<typeof resendReport>;
type PoolItem = Type.Static<typeof poolSettings>;

function isForwarded(request: FastifyRequest): boolean {
  return request.headers[forwardedByHeader] !== undefined;
}

function itemOf<Item extends object>(item: InstanceAnswer<Item>): Item | { clouddriverId: string; error: string } {
  return 'answer' in item ? item.answer : { clouddriverId: item.instanceId, error: item.error.message };
}

/** @throws GatewayError `unknown-agent`, or `owner-unreachable` if an instance that did not answer may hold it */
function instancesThatHeld(agentId: string, answers: readonly InstanceAnswer<boolean>[]): string[] {
  const held = answers.filter((item) => 'answer' in item && item.answer);
  if (held.length > 0) return held.map((item) => item.instanceId);
  const silent = answers.find((item) => 'error' in item);
  if (silent !== undefined && 'error' in silent)
    throw new GatewayError(
      'owner-unreachable',
      `agent "${agentId}" is not connected to any instance that answered, and instance ${silent.instanceId} did not answer: ${silent.error.message}`,
      { agentId, instanceId: silent.instanceId, retryAfterMs: 1_000 },
    );
  throw new GatewayError('unknown-agent', `agent "${agentId}" is not connected`, { agentId });
}

function wasConnected({ status }: { readonly status: number }): boolean {
  if (status === 200) return true;
  if (status === 404) return false;
  throw new GatewayError('owner-unreachable', `it answered ${String(status)}`);
}
