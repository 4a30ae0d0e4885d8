/** Schemas of accounts: Armory's models, and what an account's definition may have. */

import Type, { type TSchema } from 'typebox';
import { accountStatuses } from '../../store/accounts/account-lifecycle.js';
import { maximumKubeconfigBytes } from '../accounts/kubeconfig/providers.js';
import { accountOptions } from '../accounts/options.js';

export const accountName = Type.String({
  minLength: 1,
  maxLength: 253,
  pattern: '^[A-Za-z0-9_.:@/+=-]+$',
  description: 'Unique name of the account.',
  examples: ['account-01'],
});
const zoneId = Type.String({
  maxLength: 253,
  pattern: '^[A-Za-z0-9_.:@/+=-]*$',
  description:
    'Only agents of this zone (by default deploymentName_namespace) are asked; without it all, and the account takes the zone of the first that can serve it.',
  examples: ['spin-agent_spinnaker'],
});
const kubeconfig = (description: string) =>
  Type.String({ minLength: 1, maxLength: maximumKubeconfigBytes * 2, description });
const kubeconfigFile = kubeconfig(
  'A reference (`encryptedFile:k8s!n:NAME!k:KEY!ns:NAMESPACE`, `file:PATH`, `env:KUBECONFIG_NAME`), the path of a file on the machine of the agent, or a kubeconfig as YAML or base64.',
);

export const accountParams = Type.Object({ name: accountName });

const maxAccounts = 1_000;
const status = Type.Enum([...accountStatuses], { description: 'Where the account is in its lifecycle.' });
const strict = { additionalProperties: false };

/** A batch of accounts in a request. */
export const batch = <Item extends TSchema>(item: Item) =>
  Type.Array(item, { minItems: 1, maxItems: maxAccounts, description: `1 to ${String(maxAccounts)} of them.` });

export const accountRequest = Type.Object(
  {
    name: accountName,
    state: Type.Optional(Type.Enum(['ACTIVE', 'INACTIVE'], { description: 'What the account is to become.' })),
    zoneId: Type.Optional(zoneId),
    kubeconfigFile: Type.Optional(kubeconfigFile),
  },
  {
    ...strict,
    description: 'AddAgentAccountRequest',
    examples: [{ name: 'account-01', state: 'ACTIVE', zoneId: 'spin-agent_spinnaker' }],
  },
);

export const accountDefinition = Type.Object(
  {
    name: accountName,
    zoneId: Type.Optional(zoneId),
    kubeconfigContents: Type.Optional(
      kubeconfig('A reference as for kubeconfigFile, or a kubeconfig as YAML or base64.'),
    ),
    kubeconfigFile: Type.Optional(kubeconfigFile),
    kubeconfigAgent: Type.Optional(
      kubeconfig('As kubeconfigFile, and used in its place: where agents need another one.'),
    ),
    ...Object.fromEntries(Object.entries(accountOptions).map(([name, schema]) => [name, Type.Optional(schema)])),
  },
  {
    ...strict,
    description:
      'Definition of an account: the options of `kubernetes.accounts[]`, with where its kubeconfig comes from.',
    examples: [
      {
        name: 'account-01',
        kubeconfigContents: 'encryptedFile:k8s!n:kubeconfig!k:config!ns:spinnaker',
        namespaces: ['default'],
      },
    ],
  },
);

/** What a 409 lists. */
export const presentAccount = Type.Object(
  { name: Type.String(), state: status, zoneId: Type.String(), dynamic: Type.Boolean() },
  {
    description: 'An account that is there already, and was left as it is.',
    examples: [{ name: 'account-01', state: 'ACTIVE', zoneId: 'spin-agent_spinnaker', dynamic: true }],
  },
);

const masked = Type.Record(Type.String(), Type.Unknown(), {
  description: 'The definition; kubeconfigs are shown as `***`, references to them as they are.',
});

export const accountAnswer = Type.Object(
  {
    name: Type.String(),
    type: Type.Literal('kubernetes'),
    source: Type.Enum(['dynamic', 'agent'], { description: 'Added by this API, or registered by an agent.' }),
    status,
    zoneId: Type.String({ description: 'Empty: not known yet.' }),
    agents: Type.Optional(
      Type.Array(Type.Object({ agentId: Type.String(), clouddriverId: Type.String(), caching: Type.Boolean() }), {
        description: 'Who serves it now; only when one account is asked for.',
      }),
    ),
    connections: Type.Integer({ description: 'Agents that serve it now.' }),
    failedCount: Type.Integer({ description: 'Attempts that failed since the last request.' }),
    errorMessage: Type.Optional(Type.String({ description: 'Why the last one failed.' })),
    lastUpdated: Type.String({ format: 'date-time' }),
    config: masked,
  },
  {
    description: 'An account, without secrets.',
    examples: [
      {
        name: 'account-01',
        type: 'kubernetes',
        source: 'dynamic',
        status: 'ACTIVE',
        zoneId: 'spin-agent_spinnaker',
        connections: 1,
        failedCount: 0,
        lastUpdated: '2026-03-01T08:15:30.123Z',
        config: { kubeconfigContents: 'encryptedFile:k8s!n:kubeconfig!k:config!ns:spinnaker', namespaces: ['default'] },
      },
    ],
  },
);

/** Armory's model; `def`, `props` and what ends in AsString are the same as JSON text. */
export const kubesvcAccount = Type.Object(
  {
    name: Type.String(),
    status,
    zoneId: Type.String(),
    dynamic: Type.Boolean(),
    connections: Type.Integer(),
    kubeHost: Type.String(),
    kubeVersion: Type.String(),
    certFingerprint: Type.String(),
    maxWatchAgeSeconds: Type.Integer(),
    errorMessage: Type.Optional(Type.String()),
    retryCount: Type.Integer(),
    lastUpdated: Type.Integer({ description: 'Unix ms.' }),
    definition: masked,
    definitionAsString: Type.String(),
    def: Type.String(),
    permissions: Type.Record(Type.String(), Type.Unknown()),
    properties: Type.Record(Type.String(), Type.Unknown()),
    propertiesAsString: Type.String(),
    props: Type.String(),
  },
  {
    description: 'KubesvcAccount',
    examples: [
      {
        name: 'account-01',
        status: 'ACTIVE',
        zoneId: 'spin-agent_spinnaker',
        dynamic: false,
        connections: 1,
        kubeHost: 'https://10.0.0.1:6443',
        kubeVersion: 'v1.35.1',
        certFingerprint: 'ab:cd',
        maxWatchAgeSeconds: 300,
        retryCount: 0,
        lastUpdated: 1_772_323_200_000,
        definition: {},
        definitionAsString: '{}',
        def: '{}',
        permissions: {},
        properties: { team: 'shop' },
        propertiesAsString: '{"team":"shop"}',
        props: '{"team":"shop"}',
      },
    ],
  },
);
