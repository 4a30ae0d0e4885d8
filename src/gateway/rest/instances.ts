/** `/armory/clouddrivers`: the members of the routing cluster. */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { GatewayError } from '../../core/errors.js';
import type { Discovery, Instance } from '../../discovery/discovery.js';
import { nameSchema } from './names.js';
import { problems } from './problem.js';

export interface InstanceRoutesOptions {
  readonly discovery: Discovery;
}

const instanceSchema = Type.Object(
  {
    baseUrl: Type.String({ examples: ['http://10.0.15.246:7002'] }),
    id: Type.String({ examples: ['spin-clouddriver-766c678c6c-scg68'] }),
    lastUpdated: Type.String({ format: 'date-time' }),
    ready: Type.Boolean(),
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

export const instanceRoutes: FastifyPluginCallbackTypebox<InstanceRoutesOptions> = (app, { discovery }, done) => {
  app.get(
    '/armory/clouddrivers',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'listInstances',
        tags: ['instances'],
        summary: 'List all instances that this one knows.',
        response: { 200: Type.Array(instanceSchema), ...problems(500) },
      },
    },
    () => discovery.instances().map(toAnswer),
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

  done();
};

function toAnswer({ baseUrl, id, lastUpdated, ready }: Instance) {
  return { baseUrl, id, lastUpdated: new Date(lastUpdated).toISOString(), ready };
}
