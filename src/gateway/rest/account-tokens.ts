/** Revokes the tokens that are good for the Kubernetes API of one account. */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { GatewayError } from '../../core/errors.js';
import type { TokenRevocations } from '../spinnaker/token-revocations.js';
import { nameSchema } from './names.js';
import { problems } from './problem.js';

export interface AccountTokenRoutesOptions {
  /** Undefined: spinnaker.tokens.secretFile is not set. */
  readonly tokenRevocations: Pick<TokenRevocations, 'revoke'> | undefined;
}

const queryTimeoutMs = 30_000;

export const accountTokenRoutes: FastifyPluginCallbackTypebox<AccountTokenRoutesOptions> = (
  app,
  { tokenRevocations },
  done,
) => {
  app.delete(
    '/armory/accounts/:name/tokens',
    {
      config: { role: 'admin' },
      schema: {
        operationId: 'revokeAccountTokens',
        tags: ['accounts'],
        summary: 'Revoke every token that was made for an account.',
        description:
          'This instance refuses them at once, the others within seconds. Kubeconfigs that are made from then on have a new one. The account need not exist any more.',
        params: Type.Object({ name: nameSchema(255, { examples: ['prod-eu'] }) }),
        response: {
          200: Type.Object(
            { account: Type.String(), revoked: Type.String({ format: 'date-time' }) },
            { description: 'Revoked.', examples: [{ account: 'prod-eu', revoked: '2026-03-01T08:15:30.123Z' }] },
          ),
          ...problems(400, 414, 500, 501, 503),
        },
      },
    },
    async ({ params: { name } }) => {
      if (tokenRevocations === undefined) {
        const message = 'there are no tokens of accounts: set spinnaker.tokens.secretFile';
        throw new GatewayError('not-implemented', message);
      }
      const revokedAt = await tokenRevocations.revoke(name, AbortSignal.timeout(queryTimeoutMs));
      return { account: name, revoked: new Date(revokedAt).toISOString() };
    },
  );

  done();
};
