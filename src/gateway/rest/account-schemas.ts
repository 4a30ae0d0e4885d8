/** Schemas of accounts: Armory's models, and the fields of an account's definition. */

import Type, { type TSchema } from 'typebox';
import { accountStatuses } from '../../store/accounts/account-lifecycle.js';
import { clouddriverStates } from '../../store/accounts/clouddriver-account-record.js';
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
    'Zone whose agents serve the account (default of an agent: deploymentName_namespace). Without it, all agents are asked, and the account gets the zone of the first one that can serve it.',
  examples: ['spin-agent_spinnaker'],
});
const kubeconfig = (description: string) =>
  Type.String({ minLength: 1, maxLength: maximumKubeconfigBytes * 2, description });
const kubeconfigFile = kubeconfig(
  'A reference (`encryptedFile:k8s!n:NAME!k:KEY!ns:NAMESPACE`, `file:PATH`, `env:KUBECONFIG_NAME`), the path of a file on the machine of the agent, or a kubeconfig as YAML or base64.',
);

export const accountParams = Type.Object({ name: accountName });

const maxAccounts = 1_000;
const status = Type.Enum([...accountStatuses], { description: 'State of the account in its lifecycle.' });
const strict = { additionalProperties: false };

/** A batch of accounts in a request. */
export const batch = <Item extends TSchema>(item: Item) =>
  Type.Array(item, { minItems: 1, maxItems: maxAccounts, description: `1 to ${String(maxAccounts)} items.` });

export const accountRequest = Type.Object(
  {
    name: accountName,
    state: Type.Optional(Type.Enum(['ACTIVE', 'INACTIVE'], { description: 'State that the account should reach.' })),
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
    description: 'Definition of an account: the options of `kubernetes.accounts[]`, and the source of its kubeconfig.',
    examples: [
      {
        name: 'account-01',
        kubeconfigContents: 'encryptedFile:k8s!n:kubeconfig!k:config!ns:spinnaker',
        namespaces: ['default'],
      },
    ],
  },
);

/** The accounts that a 409 lists. */
export const presentAccount = Type.Object(
  { name: Type.String(), state: status, zoneId: Type.String(), dynamic: Type.Boolean() },
  {
    description: 'An account that exists already, and was not changed.',
    examples: [{ name: 'account-01', state: 'ACTIVE', zoneId: 'spin-agent_spinnaker', dynamic: true }],
  },
);

const masked = Type.Record(Type.String(), Type.Unknown(), {
  description: 'The definition. Kubeconfigs are masked as `***`; references to them are not.',
});

export const clouddriverAnswer = Type.Object(
  {
    state: Type.Enum([...clouddriverStates], {
      description:
        'registered: Clouddriver has it as it should be; waiting: it is registered once an agent serves it and its cluster answers; refused: Clouddriver refused the last write; conflict: Clouddriver has an account of this name that another made; invalid: Clouddriver cannot have what is described; leaving: gone here, and removed there after the clean-up time.',
    }),
    message: Type.Optional(Type.String({ description: 'Why, and what to do.' })),
    lastUpdated: Type.String({ format: 'date-time', description: 'When state or message changed.' }),
  },
  {
    description: 'What became of it at Clouddriver (`spinnaker.clouddriver`); absent if Clouddriver is not to have it.',
    examples: [{ state: 'registered', lastUpdated: '2026-03-01T08:15:30.123Z' }],
  },
);

export const accountAnswer = Type.Object(
  {
    name: Type.String(),
    type: Type.Literal('kubernetes'),
    source: Type.Enum(['dynamic', 'agent'], {
      description: 'dynamic: added by this API; agent: registered by an agent.',
    }),
    status,
    zoneId: Type.String({ description: 'Empty if not known yet.' }),
    agents: Type.Optional(
      Type.Array(Type.Object({ agentId: Type.String(), clouddriverId: Type.String(), caching: Type.Boolean() }), {
        description: 'Agents that serve it now; only if one account is requested.',
      }),
    ),
    connections: Type.Integer({ description: 'Agents that serve it now.' }),
    failedCount: Type.Integer({ description: 'Failed attempts since the last request.' }),
    errorMessage: Type.Optional(Type.String({ description: 'Why the last attempt failed.' })),
    lastUpdated: Type.String({ format: 'date-time' }),
    clouddriver: Type.Optional(clouddriverAnswer),
    config: masked,
    state: Type.Optional(
      Type.Enum(['served', 'uncached', 'offline'], {
        description:
          'served: agents serve it, and one caches it; uncached: none of them caches it; offline: its agents are gone. Only if the parameter `state` is given, as the fields that follow.',
      }),
    ),
    offlineSince: Type.Optional(Type.String({ format: 'date-time' })),
    lastAgentId: Type.Optional(Type.String({ description: 'The agent that served it last.' })),
    lastClouddriverId: Type.Optional(Type.String({ description: 'The instance where that agent was connected.' })),
    offlineReason: Type.Optional(Type.String({ description: 'As the `offlineReason` of an agent.' })),
    offlineMessage: Type.Optional(Type.String({ description: 'More about the reason.' })),
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

/** Armory's model; `def`, `props` and the fields that end in AsString contain the same as JSON text. */
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
    clouddriver: Type.Optional(clouddriverAnswer),
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
