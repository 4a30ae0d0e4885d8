/** `/armory/clouddrivers`: the members of the routing cluster and, where a caller asks for them, those that were lost. */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { GatewayError } from '../../core/errors.js';
import type { Discovery, Instance } from '../../discovery/discovery.js';
import type { InstanceStore } from '../../store/instances/instances.js';
import { lostReason, timeText } from '../attention/attention.js';
import type { ClusterReader, LostInstance } from '../attention/cluster-reader.js';
import { nameSchema } from './names.js';
import { problems } from './problem.js';

export interface InstanceRoutesOptions {
  readonly discovery: Discovery;
  readonly instances: Pick<InstanceStore, 'forgetLost'>;
  readonly reader: ClusterReader;
  readonly leaseMs: number;
}

const instanceSchema = Type.Object(
  {
    baseUrl: Type.String({ examples: ['http://10.0.15.246:7002'] }),
    id: Type.String({ examples: ['spin-clouddriver-766c678c6c-scg68'] }),
    lastUpdated: Type.String({ format: 'date-time' }),
    ready: Type.Boolean(),
    state: Type.Optional(
      Type.Enum(['member', 'lost'], {
        description: 'Only if the parameter `state` is given, as the fields that follow; Armory does not have them.',
      }),
    ),
    lostSince: Type.Optional(Type.String({ format: 'date-time', description: 'Its last sign of life.' })),
    reason: Type.Optional(Type.String({ description: 'Why it counts as lost.' })),
    replacedBy: Type.Optional(
      Type.String({ description: 'A newer instance, which has taken its place: a pod with another name.' }),
    ),
  },
  {
    description: 'ClouddriverInstance',
    examples: [
      {
        baseUrl: 'http://10.0.15.246:7002',
        id: 'spin-clouddriver-766c678c6c-scg68',
        lastUpdated: '2026-03-01T08:15:30.123Z',
        ready: true,
      },
    ],
  },
);

const queryTimeoutMs = 30_000;

export const instanceRoutes: FastifyPluginCallbackTypebox<InstanceRoutesOptions> = (
  app,
  { discovery, instances, reader, leaseMs },
  done,
) => {
  app.get(
    '/armory/clouddrivers',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'listInstances',
        tags: ['instances'],
        summary: 'List all instances that this one knows, or those that were lost.',
        querystring: Type.Object({
          state: Type.Optional(
            Type.Enum(['member', 'lost', 'all'], {
              default: 'member',
              description:
                'lost: instances that stopped renewing their leases without saying goodbye. Discovery may still name one for a while.',
            }),
          ),
        }),
        response: { 200: Type.Array(instanceSchema), ...problems(400, 500, 503) },
      },
    },
    async ({ query: { state = 'member' } }) => {
      const members = discovery.instances().map(toAnswer);
      if (state === 'member') return members;
      await reader.instances.refresh();
      const { lost } = reader.instances.current();
      const gone = new Set(lost.map(({ id }) => id));
      const others = members
        .filter(({ id }) => !gone.has(id))
        .map((member) => ({ ...member, state: 'member' as const }));
      const all = [...(state === 'all' ? others : []), ...lost.map(lostAnswer)];
      return all.sort((a, b) => (a.id < b.id ? -1 : 1));
    },
  );

  app.get(
    '/armory/clouddrivers/:id',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'getInstance',
        tags: ['instances'],
        summary: 'Show one instance.',
        params: Type.Object({
          id: nameSchema(253, { examples: ['spin-clouddriver-766c678c6c-scg68'] }),
        }),
        response: { 200: instanceSchema, ...problems(400, 404, 414, 500) },
      },
    },
    (request) => {
      const instance = discovery.instance(request.params.id);
      if (instance === undefined)
        throw new GatewayError('unknown-instance', `instance "${request.params.id}" is not among the members`, {
          instanceId: request.params.id,
        });
      return toAnswer(instance);
    },
  );

  app.delete(
    '/armory/clouddrivers/:id',
    {
      config: { role: 'admin' },
      schema: {
        operationId: 'forgetInstance',
        tags: ['instances'],
        summary: 'Forget an instance that was lost.',
        description:
          'Otherwise it is forgotten after `kubesvc.offline.forgetAfterSeconds`. If it starts again, it is back.',
        params: Type.Object({ id: nameSchema(253, { examples: ['spin-clouddriver-766c678c6c-scg68'] }) }),
        response: { 204: Type.Null({ description: 'Forgotten.' }), ...problems(400, 404, 409, 414, 500, 503) },
      },
    },
    async ({ params: { id } }, reply) => {
      const forgotten = await instances.forgetLost({ id }, leaseMs, AbortSignal.timeout(queryTimeoutMs));
      reader.instances.outdated();
      if (forgotten > 0) return reply.code(204).send(null);
      await reader.instances.refresh();
      const { live, lost } = reader.instances.current();
      if (live.some((instance) => instance.id === id))
        throw new GatewayError(
          'not-gone',
          `instance "${id}" is alive; only instances that were lost can be forgotten`,
          {
            instanceId: id,
          },
        );
      if (lost.some((instance) => instance.id === id))
        throw new GatewayError(
          'not-gone',
          `instance "${id}" was lost a moment ago, and another one is taking over what it owned; try again`,
          { instanceId: id },
        );
      throw new GatewayError('unknown-instance', `instance "${id}" is not known`, { instanceId: id });
    },
  );

  done();
};

function toAnswer({ baseUrl, id, lastUpdated, ready }: Instance) {
  return { baseUrl, id, lastUpdated: new Date(lastUpdated).toISOString(), ready };
}

function lostAnswer({ id, baseUrl, lastHeartbeatTime, replacedBy }: LostInstance) {
  const time = timeText(lastHeartbeatTime);
  return {
    baseUrl,
    id,
    lastUpdated: time,
    ready: false,
    state: 'lost' as const,
    lostSince: time,
    reason: lostReason,
    ...(replacedBy === undefined ? {} : { replacedBy }),
  };
}
