/** `GET /kubernetes/kubeconfig`: how kubectl and other clients reach accounts through the gateway. Never with credentials. */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { GatewayError } from '../../core/errors.js';
import { writeYaml } from '../../documents/yaml.js';
import type { AccountRecord } from '../../store/accounts/account-record.js';
import type { AccountStore } from '../../store/accounts/accounts.js';
import { kubeconfigOf } from '../kubernetes-api/kubeconfig.js';
import { nameSchema } from './names.js';
import { problems } from './problem.js';

export interface KubeconfigRoutesOptions {
  readonly kubeconfigs: {
    readonly accounts: Pick<AccountStore, 'find' | 'list'>;
    /** URL of the gateway for clients; undefined: as the caller of this route reached it. */
    readonly publicUrl: string | undefined;
    /** PEM of the CA that clients need; undefined: none, or not known here. */
    readonly certificateAuthority: () => string | undefined;
  };
}

/** An account for which agents accept requests of the Kubernetes API. */
export const apiAccessProperty = 'kubernetesApi';

const marks = Type.Object(
  { extensions: Type.Array(Type.Object({ name: Type.String(), extension: Type.Object({ account: Type.String() }) })) },
  { description: 'Entries with an extension named agent-gateway are ours: the command replaces no other ones.' },
);
const kubeconfigSchema = Type.Object(
  {
    apiVersion: Type.Literal('v1'),
    kind: Type.Literal('Config'),
    clusters: Type.Array(
      Type.Object({
        name: Type.String(),
        cluster: Type.Object({
          server: Type.String(),
          'certificate-authority-data': Type.Optional(Type.String()),
          ...marks.properties,
        }),
      }),
    ),
    contexts: Type.Array(
      Type.Object({
        name: Type.String(),
        context: Type.Object({ cluster: Type.String(), user: Type.String(), ...marks.properties }),
      }),
    ),
    users: Type.Array(Type.Object({ name: Type.String(), user: Type.Object({ ...marks.properties }) })),
  },
  {
    description: 'A kubeconfig: a cluster and a context for each account, and a user without credentials.',
    examples: [
      {
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [
          {
            name: 'agent-gateway/prod-eu',
            cluster: {
              server: 'https://gateway.example.com:7002/kubernetes/accounts/prod-eu',
              extensions: [{ name: 'agent-gateway', extension: { account: 'prod-eu' } }],
            },
          },
        ],
        contexts: [
          {
            name: 'prod-eu',
            context: {
              cluster: 'agent-gateway/prod-eu',
              user: 'agent-gateway/gateway.example.com:7002',
              extensions: [{ name: 'agent-gateway', extension: { account: 'prod-eu' } }],
            },
          },
        ],
        users: [
          {
            name: 'agent-gateway/gateway.example.com:7002',
            user: { extensions: [{ name: 'agent-gateway', extension: { account: '' } }] },
          },
        ],
      },
    ],
  },
);

const queryTimeoutMs = 30_000;
const pageSize = 1_000;
/** Each of them repeats the CA. */
const maxAccounts = 2_000;
const hostForm = /^[\w.:[\]-]+$/u;

const account = nameSchema(255, { examples: ['prod-eu'] });

const comment = `# Kubernetes API of accounts through the gateway. It has no credentials: add to the user below
#   tokenFile: FILE                              a bearer token, sent only to https:// servers
#   client-certificate: FILE and client-key: FILE
#   exec: ...                                    a program that prints credentials
# or let "agent-gateway kubeconfig --token-file FILE --merge" write all this to ~/.kube/config.
`;

export const kubeconfigRoutes: FastifyPluginCallbackTypebox<KubeconfigRoutesOptions> = (
  app,
  { kubeconfigs: { accounts, publicUrl, certificateAuthority } },
  done,
) => {
  app.get(
    '/kubernetes/kubeconfig',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'getKubeconfig',
        tags: ['accounts'],
        summary: 'Write a kubeconfig for accounts, without credentials.',
        description:
          'Of the accounts named, or of all whose agents allow requests of the Kubernetes API. YAML, or JSON if `Accept` names `application/json`.',
        querystring: Type.Object({ account: Type.Optional(Type.Union([account, Type.Array(account)])) }),
        response: {
          200: {
            description: 'The kubeconfig.',
            content: {
              'application/json': { schema: kubeconfigSchema },
              // Sent as text.
              'application/yaml': { schema: Type.Unsafe<string>(kubeconfigSchema) },
            },
          },
          ...problems(400, 403, 404, 500, 503),
        },
      },
    },
    async (request, reply) => {
      const signal = AbortSignal.timeout(queryTimeoutMs);
      const wanted = request.query.account;
      const names = typeof wanted === 'string' ? [wanted] : [...new Set(wanted)];
      const found = names.length === 0 ? await all(accounts, signal) : await named(accounts, names, signal);
      const base = publicUrl ?? reachedAt(request);
      const config = kubeconfigOf(found, { baseUrl: base, certificateAuthority: certificateAuthority() });
      void reply.header('cache-control', 'no-store');
      if (/\bjson\b/u.test(request.headers.accept ?? '')) return reply.type('application/json').send(config);
      // An extra argument of the type provider: only the schema above knows this form.
      return reply.type('application/yaml').send(comment + writeYaml(config));
    },
  );

  done();
};

function serves({ properties }: AccountRecord): boolean {
  const access = properties[apiAccessProperty];
  return access === 'read' || access === 'full';
}

/** @throws GatewayError `invalid-argument` if there are too many */
async function all(accounts: Pick<AccountStore, 'list'>, signal: AbortSignal): Promise<readonly string[]> {
  const names: string[] = [];
  for (let after: string | undefined = ''; after !== undefined;) {
    const page: readonly AccountRecord[] = await accounts.list(after, pageSize, signal);
    names.push(...page.filter(serves).map(({ name }) => name));
    if (names.length > maxAccounts) {
      const message = `more than ${String(maxAccounts)} accounts: name those that you want (?account=NAME&account=NAME)`;
      throw new GatewayError('invalid-argument', message, { field: 'query.account' });
    }
    after = page.length < pageSize ? undefined : page.at(-1)?.name;
  }
  return names;
}

/** @throws GatewayError `unknown-account`, `permission-denied` */
async function named(
  accounts: Pick<AccountStore, 'find'>,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  for (const name of names) {
    const record = await accounts.find(name, signal);
    if (record === undefined)
      throw new GatewayError('unknown-account', `account "${name}" is not known`, { account: name });
    if (!serves(record)) {
      const message = `account "${name}" does not serve the Kubernetes API: set apiAccess of the account to read or full in its agent's configuration`;
      throw new GatewayError('permission-denied', message, { account: name });
    }
  }
  return names;
}

/** @throws GatewayError `invalid-argument` */
function reachedAt({ protocol, host }: { readonly protocol: string; readonly host: string }): string {
  if (hostForm.test(host)) return `${protocol}://${host}`;
  const message = 'Host: expected the name and port of the gateway; or set kubesvc.kubernetesApi.publicUrl';
  throw new GatewayError('invalid-argument', message, { field: 'Host' });
}
