/** Spinnaker without a plugin: an unchanged Clouddriver that reaches accounts through the gateway. */

import Type from 'typebox';
import { configServer } from './config-server-schema.js';
import { count, path } from './leaf-schemas.js';

const tokens = Type.Object(
  {
    secretFile: path(
      'File with the secrets that sign the tokens of accounts, one per line, the same on every instance. The first one signs; all are accepted. Reloaded when it changes. Without it, there are no such tokens.',
    ),
    lifetimeSeconds: count(
      'Lifetime of a token. It is renewed after half of it, so that it is always good for the other half.',
      86_400,
      60,
      2_592_000,
    ),
    access: Type.Enum(['read', 'full'], {
      description:
        'What a token may do with the Kubernetes API of its account. The cluster sees the credentials of the agent.',
      default: 'full',
    }),
  },
  {
    description:
      'Tokens in the kubeconfigs that Clouddriver gets: each is good for the Kubernetes API of one account ([security](security.md)).',
  },
);

export const spinnaker = Type.Object(
  { tokens, configServer },
  { description: 'Spinnaker whose Clouddriver has no plugin.' },
);
