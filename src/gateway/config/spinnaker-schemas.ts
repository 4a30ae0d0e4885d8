/** Spinnaker without a plugin: an unchanged Clouddriver that reaches accounts through the gateway. */

import Type from 'typebox';
import { configServer } from './config-server-schema.js';
import { count, flag, list, optionalText, path, secret, text } from './leaf-schemas.js';

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

const accounts = Type.Object(
  {
    namePatterns: list('Regular expressions: Spinnaker gets the accounts whose whole names match one; empty: all.'),
    zones: list('Spinnaker gets the accounts of agents of these zones; empty: all.'),
  },
  {
    description:
      'Which accounts Spinnaker gets, of those whose agents serve the Kubernetes API (`apiAccess`). It loses an account that has been gone for `kubesvc.cache.accountCleanupFrequencySeconds`.',
  },
);

const clouddriver = Type.Object(
  {
    url: optionalText(
      'URL of a Clouddriver whose account store gets the accounts; it needs `account.storage.enabled` and `credentials.poller.enabled`. Without it, no Clouddriver is written to.',
      { secret: 'url', pattern: '^https?://.+$', expected: 'a URL such as http://spin-clouddriver:7002' },
    ),
    user: optionalText('User for HTTP basic authentication. Overrides the user in the URL.'),
    password: secret('Password of that user.'),
    token: secret('Bearer token, instead of a user and password.'),
    spinnakerUser: text(
      'User of Spinnaker in whose name accounts are written (`X-SPINNAKER-USER`). If Fiat is on, it must be an admin.',
      'agent-gateway',
      { pattern: '^[\\x21-\\x7e]+$' },
    ),
    pollSeconds: count(
      "Time between two comparisons of Clouddriver's account store with the accounts that agents serve. Each reads all of both.",
      5,
      1,
      3_600,
    ),
    ssl: Type.Object(
      {
        verify: flag("Verify Clouddriver's certificate, if the URL starts with https://.", true),
        trustCertCollection: path('PEM file with the CAs to trust. Default: those of Node.js.'),
        certificateChain: path('PEM file with the client certificate and its chain.'),
        privateKey: path('PEM file with the private key of the client certificate.'),
        privateKeyPassword: secret('Password of the private key.'),
      },
      { description: 'TLS to Clouddriver. The files are read again for each comparison.' },
    ),
  },
  { description: "Clouddriver's account management, which one instance at a time keeps up to date." },
);

export const spinnaker = Type.Object(
  {
    gateways: Type.String({
      description:
        'Name of this cluster of gateways. It marks the accounts that it makes in Clouddriver, and it never changes those of others: to rename it, remove its accounts there first.',
      derived: 'the host of `kubesvc.kubernetesApi.publicUrl`, else `agent-gateway`',
      minLength: 1,
      maxLength: 253,
      pattern: '^[A-Za-z0-9_.:@/+=-]+$',
    }),
    accounts,
    clouddriver,
    configServer,
    tokens,
  },
  { description: 'Spinnaker whose Clouddriver has no plugin.' },
);
