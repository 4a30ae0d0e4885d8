/**
 * `/armory/agents`: the agents of the whole cluster, from the truth, on every instance: those that are connected and, where a
 * caller asks for them, those that were.
 */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import Type, { type Static } from 'typebox';
import { GatewayError } from '../../core/errors.js';
import type { ConnectedAgent, AssignmentStore } from '../../store/assignments/assignments.js';
import type { OfflineAgent } from '../../store/presence/presence-record.js';
import { departureReasons } from '../../store/presence/presence-record.js';
import type { PresenceStore } from '../../store/presence/presence.js';
import type { RivalProcesses } from '../agents/rival-processes.js';
import { timeText } from '../attention/attention.js';
import type { ClusterReader } from '../attention/cluster-reader.js';
import { nameSchema } from './names.js';
import { problems } from './problem.js';

export interface AgentRoutesOptions {
  readonly assignments: AssignmentStore;
  readonly presence: Pick<PresenceStore, 'forget' | 'knows'>;
  readonly reader: ClusterReader;
  readonly rivals: Pick<RivalProcesses, 'has'>;
}

const agentSchema = Type.Object(
  {
    accounts: Type.Array(Type.String()),
    agentId: Type.String(),
    caching: Type.Boolean({ description: 'Whether the agent caches one of its accounts.' }),
    clouddriverId: Type.String({ description: 'The instance that holds its stream, or held it last.' }),
    lastConnection: Type.String({ format: 'date-time' }),
    type: Type.Literal('kubernetes'),
    rivalProcesses: Type.Optional(
      Type.Literal(true, {
        description:
          "Two processes have used this id within the last ten minutes, and each closes the other's connection. Armory does not have this field.",
      }),
    ),
    state: Type.Optional(
      Type.Enum(['connected', 'offline'], {
        description: 'Only if the parameter `state` is given, as the fields that follow; Armory does not have them.',
      }),
    ),
    offlineSince: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'When its stream ended. If its instance was lost: the last sign of life of that instance.',
      }),
    ),
    offlineReason: Type.Optional(Type.Enum([...departureReasons])),
    offlineMessage: Type.Optional(Type.String({ description: 'More about the reason.' })),
    zoneId: Type.Optional(Type.String()),
    version: Type.Optional(Type.String()),
    replacedBy: Type.Optional(
      Type.String({ description: 'A newer agent of its zone, which has taken its place: a pod with another name.' }),
    ),
  },
  {
    description: 'ArmoryAgentResponse',
    examples: [
      {
        accounts: ['prod-eu', 'prod-us'],
        agentId: 'agent-5c9f-7h2kq',
        caching: true,
        clouddriverId: 'gateway-7d9c5b8f6-x2x9k',
        lastConnection: '2026-03-01T08:15:30.123Z',
        type: 'kubernetes',
      },
    ],
  },
);

const queryTimeoutMs = 30_000;
const agentState = Type.Optional(
  Type.Enum(['connected', 'offline', 'all'], {
    default: 'connected',
    description:
      'offline: agents that were connected, and have had no stream for longer than twice `kubesvc.instances.leaseMs`.',
  }),
);

export const agentRoutes: FastifyPluginCallbackTypebox<AgentRoutesOptions> = (
  app,
  { assignments, presence, reader, rivals },
  done,
) => {
  app.get(
    '/armory/agents',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'listAgents',
        tags: ['agents'],
        summary: 'List all connected agents, or those that are offline.',
        querystring: Type.Object({ state: agentState }),
        response: { 200: Type.Array(agentSchema), ...problems(400, 500, 503) },
      },
    },
    async ({ query: { state } }) => {
      const agents: Static<typeof agentSchema>[] = [];
      if (state !== 'offline') {
        for await (const agent of assignments.list({}, AbortSignal.timeout(queryTimeoutMs)))
          agents.push({
            ...toAnswer(agent, rivals.has(agent.agentId)),
            ...(state === 'all' ? { state: 'connected' as const } : {}),
          });
      }
      if (state === 'offline' || state === 'all') {
        await reader.offline.refresh();
        for (const agent of reader.offline.current().agents) agents.push(offlineAnswer(agent));
      }
      return agents;
    },
  );

  app.get(
    '/armory/agents/:agentId',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'getAgent',
        tags: ['agents'],
        summary: 'Show one connected agent, or one that is offline.',
        querystring: Type.Object({ state: agentState }),
        params: Type.Object({ agentId: nameSchema(253, { examples: ['agent-5c9f-7h2kq'] }) }),
        response: { 200: agentSchema, ...problems(400, 404, 414, 500, 503) },
      },
    },
    async ({ params: { agentId }, query: { state = 'connected' } }) => {
      const signal = AbortSignal.timeout(queryTimeoutMs);
      if (state !== 'offline') {
        for await (const agent of assignments.list({ agentId }, signal)) return toAnswer(agent, rivals.has(agentId));
      }
      const offline = (await presence.knows(agentId, signal)) ? await findOffline(reader, agentId) : undefined;
      if (offline !== undefined && state !== 'connected') return offlineAnswer(offline);
      const message =
        offline === undefined || state === 'offline'
          ? `agent "${agentId}" is not ${state === 'offline' ? 'offline' : 'connected'}`
          : `agent "${agentId}" is not connected: offline since ${timeText(offline.goneTime)}, last seen at ${offline.instanceId}, ${offline.reason}`;
      throw new GatewayError('unknown-agent', message, { agentId });
    },
  );

  app.delete(
    '/armory/agents/:agentId',
    {
      config: { role: 'admin' },
      schema: {
        operationId: 'forgetAgent',
        tags: ['agents'],
        summary: 'Forget an agent that is offline, and its accounts that no other agent serves.',
        description:
          'Otherwise it is forgotten after `kubesvc.offline.forgetAfterSeconds`. If it connects again, it is back.',
        params: Type.Object({ agentId: nameSchema(253, { examples: ['agent-5c9f-7h2kq'] }) }),
        response: { 204: Type.Null({ description: 'Forgotten.' }), ...problems(400, 404, 409, 414, 500, 503) },
      },
    },
    async ({ params: { agentId } }, reply) => {
      const signal = AbortSignal.timeout(queryTimeoutMs);
      if (!(await presence.forget(agentId, signal))) {
        if (!(await presence.knows(agentId, signal)))
          throw new GatewayError('unknown-agent', `agent "${agentId}" is not known`, { agentId });
        const message = `agent "${agentId}" is connected, or was until a moment ago; only agents that are gone can be forgotten`;
        throw new GatewayError('not-gone', message, { agentId });
      }
      reader.offline.outdated();
      return reply.code(204).send(null);
    },
  );

  done();
};

function toAnswer(
  { accounts, cachedAccounts, agentId, instanceId, lastConnectionTime }: ConnectedAgent,
  hasRivals: boolean,
) {
  return {
    accounts: [...accounts],
    agentId,
    caching: cachedAccounts.length > 0,
    clouddriverId: instanceId,
    lastConnection: new Date(lastConnectionTime).toISOString(),
    type: 'kubernetes' as const,
    ...(hasRivals ? { rivalProcesses: true as const } : {}),
  };
}

/** Undefined: it is connected, or may come back in the next moment. @throws GatewayError `dependency-unavailable` */
async function findOffline({ offline }: ClusterReader, agentId: string): Promise<OfflineAgent | undefined> {
  await offline.refresh();
  return offline.current().agents.find((agent) => agent.agentId === agentId);
}

function offlineAnswer(agent: OfflineAgent): Static<typeof agentSchema> {
  const { agentId, zoneId, version, instanceId, accounts, connectedTime, goneTime, reason, message, replacedBy } =
    agent;
  return {
    accounts: [...accounts],
    agentId,
    caching: false,
    clouddriverId: instanceId,
    lastConnection: timeText(connectedTime),
    type: 'kubernetes',
    state: 'offline',
    offlineSince: timeText(goneTime),
    offlineReason: reason,
    ...(message === undefined ? {} : { offlineMessage: message }),
    zoneId,
    version,
    ...(replacedBy === undefined ? {} : { replacedBy }),
  };
}
