/** Sections that the agents' port and the REST API have alike: TLS, and who may come in. */

import Type from 'typebox';
import { count, flag, list, optionalText, path, secret } from './leaf-schemas.js';

const tlsProperties = {
  enabled: flag('Serve TLS on this port. Off means cleartext.', false),
  certificateChain: path('PEM file with the certificate and its chain. Read again when it changes.'),
  privateKey: path('PEM file with the private key. Read again when it changes.'),
  privateKeyPassword: secret('Password of the private key.'),
  trustCertCollection: path('PEM file with the authorities that client certificates are checked against.'),
  revocationList: path(
    'PEM file with certificate revocation lists, one of every authority that issues client certificates; once one of them has expired nobody is let in. Read again when it changes; connections of certificates that it names by then are ended.',
  ),
  clientAuth: Type.Enum(['NONE', 'OPTIONAL', 'REQUIRE'], {
    description: 'Whether clients have to show a certificate: not at all, checked if shown, required.',
    default: 'NONE',
    synonyms: { want: 'OPTIONAL', need: 'REQUIRE' },
  }),
  ciphers: list('Cipher suites by their OpenSSL names; empty: the defaults of Node.js.'),
  protocols: list('TLS versions to accept; empty: TLSv1.2 and TLSv1.3.', [], {
    items: Type.Enum(['TLSv1.2', 'TLSv1.3']),
  }),
};
export const tls = (description: string) => Type.Object(tlsProperties, { description });

/** Of one port, on one instance. */
export const connectionLimits = (peers: string) => ({
  maxConnections: count(`Connections of ${peers}; more are closed at once.`, 50_000, 1, 1_000_000),
  maxConnectionsPerAddress: count(
    'Connections of one address. A load balancer may show its own address for all of them.',
    50_000,
    1,
    1_000_000,
  ),
  maxHalfOpenConnections: count(
    'Connections that have not finished TLS and their first bytes; beyond it the oldest of them is closed.',
    20_000,
    1,
    1_000_000,
  ),
});

/** The same for agents and for callers of the REST API; `who` they are, for the descriptions. */
export const x509 = (who: string, description: string) =>
  Type.Object(
    {
      enabled: flag(`Take the identity of ${who} from its client certificate.`, false),
      filters: list(
        `Conditions on the certificate, one of which has to hold: \`CN=agent,O=Acme\`, \`DNS:*.example.com\`, \`URI:spiffe://...\`; empty: every trusted certificate. As text, separated by \`;\`.`,
        [],
        { separator: ';' },
      ),
    },
    { description },
  );

/** Asymmetric algorithms only: the ability to verify a token must not include the ability to make one. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'Ed25519'];

export const tokens = (who: string) =>
  Type.Object(
    {
      file: path(
        'YAML file with the SHA-256 digests of tokens: `tokens: [{name, sha256, expires}]`. Read again when it changes.',
      ),
      jwt: Type.Object(
        {
          jwksFile: path('File with the JSON Web Key Set that tokens are checked with. Read again when it changes.'),
          jwksUrl: optionalText('URL of the JSON Web Key Set, instead of a file.', {
            pattern: '^https?://.+$',
            expected: 'a URL such as https://issuer.example.com/keys',
          }),
          issuer: optionalText('The `iss` that tokens must have.'),
          audiences: list('A token must be for one of these (`aud`).'),
          algorithms: list('Signature algorithms that are accepted.', ['RS256', 'ES256'], {
            items: Type.Enum(algorithms),
          }),
          clockToleranceSeconds: count('How far clocks may be apart.', 5, 0, 300),
        },
        { description: 'JSON Web Tokens.' },
      ),
      kubernetes: Type.Object(
        {
          enabled: flag('Have the Kubernetes API server check tokens of service accounts (TokenReview).', false),
          audiences: list('A token must be for one of these; empty: for the API server.'),
          kubeconfigFile: path('Kubeconfig of that API server; without it, the service account of the pod.'),
        },
        { description: 'Tokens of Kubernetes service accounts.' },
      ),
    },
    { description: `Bearer tokens of ${who}.` },
  );

/** Who may call the REST API. */
export const callers = Type.Object(
  {
    x509: x509('a caller', 'Identity of callers by certificate.'),
    tokens: tokens('callers'),
    policyFile: path(
      'YAML file that gives identities their roles: `callers: [{name, match, role}]`. Read again when it changes.',
    ),
    anonymousRole: Type.Enum(['none', 'read', 'operate', 'admin'], {
      description: 'What callers may do who show no identity.',
      derived:
        '`none` where callers have to prove who they are, `admin` where nobody has to and `server.address` is a loopback address; elsewhere it has to be set',
    }),
    instances: Type.Object(
      {
        secretFile: path(
          'File with secrets, one a line, that the calls between instances are signed with: the first signs, all are accepted. Read again when it changes.',
        ),
        filters: list(
          'Conditions on the certificates of instances, as in `server.auth.x509.filters`: who shows one is an instance.',
          [],
          { separator: ';' },
        ),
        serverName: optionalText(
          'Name that the certificates of the other instances have, where they are reached by IP address.',
        ),
      },
      { description: 'How instances prove to each other that they are instances.' },
    ),
  },
  { description: 'Who may call the REST API: see [security](security.md).' },
);
