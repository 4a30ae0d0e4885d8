/** `/armory/attention`: what is wrong in the whole cluster, since when, and why. */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import Type, { type TSchema } from 'typebox';
import type { Discovery } from '../../discovery/discovery.js';
import { attention } from '../attention/attention.js';
import type { ClusterReader } from '../attention/cluster-reader.js';
import { problems } from './problem.js';

export interface AttentionRoutesOptions {
  readonly instanceId: string;
  readonly reader: ClusterReader;
  readonly discovery: Discovery;
}

const time = Type.String({ format: 'date-time' });
const text = Type.String();
const count = Type.Integer();
const maybe = <Schema extends TSchema>(schema: Schema) => Type.Optional(schema);

const instanceHealth = Type.Object({
  clouddriverId: text,
  state: Type.Enum(['ready', 'not ready', 'no answer', 'lost']),
  since: maybe(time),
  reason: maybe(Type.String({ description: 'Why it is not ready, does not answer, or is lost.' })),
  baseUrl: text,
  version: maybe(text),
  replacedBy: maybe(Type.String({ description: 'The newer instance that has taken the place of a lost one.' })),
});

const failingAccount = Type.Object({
  account: text,
  last15Minutes: Type.Integer({ description: 'Operations that started within 15 minutes and failed.' }),
  lastHour: count,
  ongoing: Type.Boolean({ description: 'No operation has completed since the last failure.' }),
  since: Type.String({
    format: 'date-time',
    description:
      'The first failure after the last operation that completed; not ongoing: the first one within the hour.',
  }),
  orEarlier: Type.Boolean({ description: 'It may have begun before `since`.' }),
  lastOperationId: text,
  lastTime: time,
  lastOutcome: text,
  lastMessage: maybe(text),
});

const offlineAccount = Type.Object({
  name: text,
  offlineSince: time,
  lastAgentId: text,
  lastClouddriverId: text,
  reason: text,
  message: maybe(text),
});

const missingAgent = Type.Object({
  agentId: text,
  zoneId: text,
  offlineSince: time,
  lastClouddriverId: text,
  reason: text,
  message: maybe(text),
  accounts: count,
  someAccounts: Type.Array(text),
});

const attentionSchema = Type.Object(
  {
    clouddriverId: Type.String({ description: 'The instance that answers.' }),
    ok: Type.Boolean({ description: 'Nothing needs attention.' }),
    instances: Type.Object({
      ready: count,
      expected: Type.Integer({ description: 'Those that are there, and those that are lost and not replaced.' }),
      items: Type.Array(instanceHealth),
    }),
    failures: Type.Object({
      accounts: Type.Integer({ description: 'Accounts with operations that failed within the last hour.' }),
      more: Type.Boolean({ description: 'There were too many failures to count all: counts are lower bounds.' }),
      items: Type.Array(failingAccount, { description: 'The 20 accounts with the most failures within 15 minutes.' }),
    }),
    accounts: Type.Object({
      served: count,
      offline: Type.Integer({ description: 'Accounts of agents that are offline, and of no agent that is connected.' }),
      items: Type.Array(offlineAccount, { description: 'The 20 that went last.' }),
      uncached: Type.Integer({ description: 'Accounts that agents serve and none caches.' }),
      uncachedNames: Type.Array(text, { description: 'The first 20.' }),
    }),
    agents: Type.Object({
      connected: count,
      offline: Type.Integer({ description: 'All that are offline, also those that said goodbye or were replaced.' }),
      missing: Type.Integer({ description: 'Those that neither said goodbye nor were replaced.' }),
      items: Type.Array(missingAgent, { description: 'The 20 that have been missing for the shortest time.' }),
    }),
    problems: Type.Array(Type.Object({ part: text, error: text, lastRead: maybe(time) }), {
      description: 'Parts that could not be read: they show what was read last, or nothing.',
    }),
  },
  {
    examples: [
      {
        clouddriverId: 'gateway-7d9c5b8f6-x2x9k',
        ok: false,
        instances: {
          ready: 1,
          expected: 2,
          items: [
            {
              clouddriverId: 'gateway-7d9c5b8f6-k8sx2',
              state: 'lost',
              since: '2026-03-01T08:15:30.123Z',
              reason: 'it stopped renewing its lease without saying goodbye',
              baseUrl: 'http://10.0.15.247:7002',
            },
            { clouddriverId: 'gateway-7d9c5b8f6-x2x9k', state: 'ready', baseUrl: 'http://10.0.15.246:7002' },
          ],
        },
        failures: { accounts: 0, more: false, items: [] },
        accounts: { served: 2, offline: 0, items: [], uncached: 0, uncachedNames: [] },
        agents: { connected: 2, offline: 0, missing: 0, items: [] },
        problems: [],
      },
    ],
  },
);

export const attentionRoutes: FastifyPluginCallbackTypebox<AttentionRoutesOptions> = (
  app,
  { instanceId, reader, discovery },
  done,
) => {
  app.get(
    '/armory/attention',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'getAttention',
        tags: ['gateway'],
        summary: 'Show what is wrong in the whole cluster, since when, and why.',
        description:
          'Read at most every 2 seconds for all callers, and failures and readiness every 5. If the database does not answer, `problems` says so.',
        response: { 200: attentionSchema, ...problems(500) },
      },
    },
    async (_request, reply) => {
      await reader.refresh();
      void reply.header('cache-control', 'no-store');
      return attention(reader, discovery, instanceId) as Type.Static<typeof attentionSchema>;
    },
  );
  done();
};
