/** `/armory/agents`: the agents connected to the whole cluster, from the truth, on every instance. */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { GatewayError } from '../../core/errors.js';
import type { ConnectedAgent, AssignmentStore } from '../../store/assignments/assignments.js';
import type { RivalProcesses } from '../agents/rival-processes.js';
import { nameSchema } from './names.js';
import { problems } from './problem.js';

export interface AgentRoutesOptions {
  readonly assignments: AssignmentStore;
  readonly rivals: Pick<RivalProcesses, 'has'>;
}

const agentSchema = Type.Object(
  {
    accounts: Type.Array(Type.String()),
    agentId: Type.String(),
    caching: Type.Boolean({ description: 'Whether the agent caches one of its accounts.' }),
    clouddriverId: Type.String({ description: 'The instance that holds its stream.' }),
    lastConnection: Type.String({ format: 'date-time' }),
    type: Type.Literal('kubernetes'),
    rivalProcesses: Type.Optional(
      Type.Literal(true, {
        description:
          "Two processes have used this id within the last ten minutes, and each closes the other's connection. Armory does not have this field.",
      }),
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

export const agentRoutes: FastifyPluginCallbackTypebox<AgentRoutesOptions> = (app, { assignments, rivals }, done) => {
  app.get(
    '/armory/agents',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'listAgents',
        tags: ['agents'],
        summary: 'List all connected agents.',
        response: { 200: Type.Array(agentSchema), ...problems(500, 503) },
      },
    },
    async () => {
      const agents = [];
      for await (const agent of assignments.list({}, AbortSignal.timeout(queryTimeoutMs)))
        agents.push(toAnswer(agent, rivals.has(agent.agentId)));
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
        summary: 'Show one connected agent.',
        params: Type.Object({ agentId: nameSchema(253, { examples: ['agent-5c9f-7h2kq'] }) }),
        response: { 200: agentSchema, ...problems(400, 404, 414, 500, 503) },
      },
    },
    async (request) => {
      const { agentId } = request.params;
      for await (const agent of assignments.list({ agentId }, AbortSignal.timeout(queryTimeoutMs)))
        return toAnswer(agent, rivals.has(agentId));
      throw new GatewayError('unknown-agent', `agent "${agentId}" is not connected`, { agentId });
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
