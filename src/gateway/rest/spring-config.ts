/**
 * `GET /{application}/{profiles}[/{label}]`: accounts for a Clouddriver that is a Spring Cloud Config client. Only configured
 * applications have these routes, because their first segment is at the root.
 */

import { Readable } from 'node:stream';
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { configEnvironment, type AccountOptions } from '../spinnaker/config-environment.js';
import type { AccountTokensAccess } from './authorization.js';
import { nameSchema } from './names.js';
import { problems } from './problem.js';

export interface SpringConfigRoutesOptions {
  readonly springConfig: {
    /** Names of applications that may ask, as in `spring.application.name`; none is the first segment of another route. */
    readonly applications: readonly string[];
    readonly access: AccountTokensAccess;
    /** The accounts for Clouddriver, in the order of their names. @throws GatewayError `dependency-unavailable` */
    readonly accounts: (signal: AbortSignal) => Promise<readonly AccountOptions[]>;
  };
}

const queryTimeoutMs = 30_000;

const environmentSchema = Type.Object(
  {
    name: Type.String({ description: 'The application.' }),
    profiles: Type.Array(Type.String()),
    label: Type.Union([Type.String(), Type.Null()]),
    version: Type.String({ description: 'Changes with the properties.' }),
    state: Type.Null(),
    propertySources: Type.Array(
      Type.Object({
        name: Type.String(),
        source: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
      }),
    ),
  },
  {
    examples: [
      {
        name: 'clouddriver',
        profiles: ['local'],
        label: null,
        state: null,
        propertySources: [
          {
            name: 'agent-gateway',
            source: {
              'kubernetes.enabled': true,
              'kubernetes.accounts[0].name': 'prod-eu',
              'kubernetes.accounts[0].namespaces[0]': 'shop',
            },
          },
        ],
        version: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      },
    ],
  },
);
const profiles = nameSchema(1_000, {
  description: 'Profiles, with commas between them. The answer does not depend on them.',
});
const label = nameSchema(1_000, { description: 'The answer does not depend on it.' });

export const springConfigRoutes: FastifyPluginCallbackTypebox<SpringConfigRoutesOptions> = (
  app,
  { springConfig: { applications, access, accounts } },
  done,
) => {
  for (const application of applications) {
    const route = (operationId: string) =>
      ({
        config: { role: 'read', accountTokens: access },
        schema: {
          operationId: `${operationId}-${application}`,
          tags: ['accounts'],
          summary: `Configure the Kubernetes accounts of ${application}, as a Spring Cloud Config Server.`,
          description:
            'With the tokens of the accounts: only for callers whose rule has `accountTokens`. Takes the token also as the password of Basic, or in `X-Config-Token`.',
          response: {
            200: { description: 'The properties.', content: { 'application/json': { schema: environmentSchema } } },
            ...problems(400, 500, 503),
          },
        },
      }) as const;
    const answer = async (wanted: { readonly profiles: string; readonly label?: string }): Promise<Readable> => {
      const signal = AbortSignal.timeout(queryTimeoutMs);
      const request = { application, profiles: wanted.profiles, label: wanted.label };
      return Readable.from(configEnvironment(request, await accounts(signal)));
    };
    const forApplication = route('getSpringConfig');
    app.get(
      `/${application}/:profiles`,
      { ...forApplication, schema: { ...forApplication.schema, params: Type.Object({ profiles }) } },
      async (request, reply) => {
        void reply.header('cache-control', 'no-store').type('application/json');
        return reply.send((await answer(request.params)) as never);
      },
    );
    const withLabel = route('getLabelledSpringConfig');
    app.get(
      `/${application}/:profiles/:label`,
      { ...withLabel, schema: { ...withLabel.schema, params: Type.Object({ profiles, label }) } },
      async (request, reply) => {
        void reply.header('cache-control', 'no-store').type('application/json');
        return reply.send((await answer(request.params)) as never);
      },
    );
  }
  done();
};
