/** `/armory/owners`: shows which principal has which account or zone, and lets an operator release it. */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { GatewayError } from '../../core/errors.js';
import type { PrincipalStore } from '../../store/accounts/principals.js';
import { nameSchema } from './names.js';
import { problems } from './problem.js';

export interface OwnerRoutesOptions {
  readonly principals: Pick<PrincipalStore, 'list' | 'release'>;
}

const kindSchema = Type.Enum(['account', 'zone'], { examples: ['account'] });
const ownerSchema = Type.Object(
  {
    kind: kindSchema,
    name: Type.String(),
    owner: Type.String({ description: 'The principal: `policy:RULE`, or the name of a certificate or token.' }),
    since: Type.String({ format: 'date-time' }),
  },
  { examples: [{ kind: 'account', name: 'prod-eu', owner: 'policy:team-a', since: '2026-03-01T08:15:30.123Z' }] },
);

const pageSize = 1_000;
const queryTimeoutMs = 30_000;

export const ownerRoutes: FastifyPluginCallbackTypebox<OwnerRoutesOptions> = (app, { principals }, done) => {
  app.get(
    '/armory/owners',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'listOwners',
        tags: ['accounts'],
        summary: 'List the principals that hold accounts and zones, if agents must authenticate.',
        description: `Sorted by kind and name, at most ${String(pageSize)}. For the next page, set \`kind\` and \`after\` to those of the last item.`,
        querystring: Type.Object({
          kind: Type.Optional(kindSchema),
          after: Type.Optional(nameSchema(253, { examples: ['prod-eu'] })),
        }),
        response: { 200: Type.Array(ownerSchema), ...problems(400, 500, 503) },
      },
    },
    async ({ query: { kind = '', after = '' } }) => {
      const found = await principals.list({ kind, name: after }, pageSize, AbortSignal.timeout(queryTimeoutMs));
      return found.map(({ kind, name, principal, boundTime }) => ({
        kind,
        name,
        owner: principal,
        since: new Date(boundTime).toISOString(),
      }));
    },
  );

  app.delete(
    '/armory/owners/:kind/:name',
    {
      config: { role: 'admin' },
      schema: {
        operationId: 'releaseOwner',
        tags: ['accounts'],
        summary: 'Release an account or a zone: the next principal that registers it gets it.',
        params: Type.Object({ kind: kindSchema, name: nameSchema(253, { examples: ['prod-eu'] }) }),
        response: { 204: Type.Null({ description: 'Released.' }), ...problems(400, 404, 414, 500, 503) },
      },
    },
    async ({ params: { kind, name } }, reply) => {
      if (!(await principals.release(kind, name, AbortSignal.timeout(queryTimeoutMs)))) {
        const message = `${kind} "${name}" belongs to no principal`;
        throw new GatewayError('unknown-account', message, kind === 'account' ? { account: name } : {});
      }
      return reply.code(204).send(null);
    },
  );

  done();
};
