/** Sections that the agents' port and the REST API have alike: TLS, and who may come in. */

import Type from 'typebox';
import { count, flag, list, optionalText, path, secret } from './leaf-schemas.js';

const tlsProperties = {
  enabled: flag('Serve TLS on this port. If false, the port is cleartext.', false),
  certificateChain: path('PEM file with the certificate and its chain. Reloaded when it changes.'),
  privateKey: path('PEM file with the private key. Reloaded when it changes.'),
  privateKeyPassword: secret('Password of the private key.'),
  trustCertCollection: path('PEM file with the CAs that client certificates are verified against.'),
  revocationList: path(
    'PEM file with certificate revocation lists, one from every CA that issues client certificates. If a list has expired, every client certificate of its CA is refused. Reloaded when it changes; connections that use a revoked certificate are then closed.',
  ),
  clientAuth: Type.Enum(['NONE', 'OPTIONAL', 'REQUIRE'], {
    description: 'Client certificates. `NONE`: not requested; `OPTIONAL`: verified if presented; `REQUIRE`: required.',
    default: 'NONE',
    synonyms: { want: 'OPTIONAL', need: 'REQUIRE' },
  }),
  ciphers: list('Cipher suites, by OpenSSL name; empty: the defaults of Node.js.'),
  protocols: list('TLS versions to accept; empty: TLSv1.2 and TLSv1.3.', [], {
    items: Type.Enum(['TLSv1.2', 'TLSv1.3']),
  }),
};
export const tls = (description: string) => Type.Object(tlsProperties, { description });

/** Of one port, on one instance. */
export const connectionLimits = (clients: string) => ({
  maxConnections: count(`Connections of ${clients}. Further ones are closed at once.`, 50_000, 1, 1_000_000),
  maxConnectionsPerAddress: count(
    'Connections from one address. Behind a load balancer, all connections may come from its address.',
    50_000,
    1,
    1_000_000,
  ),
  maxHalfOpenConnections: count(
    'Connections that have not completed the TLS handshake and sent their first bytes. Beyond the limit, the oldest of them is closed.',
    20_000,
    1,
    1_000_000,
  ),
});

/** The same for agents and for callers of the REST API; `who` they are, for the descriptions. */
export const x509 = (who: string, description: string) =>
  Type.Object(
    {
      enabled: flag(`Authenticate ${who} by its client certificate.`, false),
      filters: list(
        `Accepted certificates: each must match at least one of these filters, such as \`CN=agent,O=Acme\`, \`DNS:*.example.com\` or \`URI:spiffe://...\`; empty: every trusted certificate. In variables and flags, separate filters with \`;\`.`,
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
        'YAML file with the SHA-256 digests of tokens: `tokens: [{name, sha256, expires}]`. Reloaded when it changes.',
      ),
      jwt: Type.Object(
        {
          jwksFile: path('File with the JSON Web Key Set that verifies tokens. Reloaded when it changes.'),
          jwksUrl: optionalText('URL of the JSON Web Key Set, instead of a file.', {
            pattern: '^https?://.+$',
            expected: 'a URL such as https://issuer.example.com/keys',
          }),
          issuer: optionalText('Required issuer (`iss`) of tokens.'),
          audiences: list('Accepted audiences (`aud`): a token must have one of them.'),
          algorithms: list('Accepted signature algorithms.', ['RS256', 'ES256'], {
            items: Type.Enum(algorithms),
          }),
          clockToleranceSeconds: count('Accepted difference between clocks.', 5, 0, 300),
        },
        { description: 'JSON Web Tokens.' },
      ),
      kubernetes: Type.Object(
        {
          enabled: flag('Accept service account tokens that the Kubernetes API server verifies (TokenReview).', false),
          audiences: list('Accepted audiences: a token must have one of them; empty: that of the API server.'),
          kubeconfigFile: path('Kubeconfig of that API server. Default: the service account of the pod.'),
        },
        { description: 'Tokens of Kubernetes service accounts.' },
      ),
    },
    { description: `Bearer tokens of ${who}.` },
  );

/** Who may call the REST API. */
export const callers = Type.Object(
  {
    x509: x509('a caller', 'Callers authenticated by certificate.'),
    tokens: tokens('callers'),
    policyFile: path(
      'YAML file that gives principals their roles, and the API of accounts: `callers: [{name, match, role, kubernetes}]` ([security](security.md)). Reloaded when it changes.',
    ),
    anonymousRole: Type.Enum(['none', 'read', 'operate', 'admin'], {
      description: 'Role of callers that present no credentials.',
      derived:
        '`none` if callers must authenticate; `admin` if they need not and `server.address` is a loopback address; otherwise it must be set',
    }),
    instances: Type.Object(
      {
        secretFile: path(
          'File with the secrets that sign calls between instances, one per line. The first one signs; all are accepted. Reloaded when it changes.',
        ),
        filters: list('Certificates that identify an instance, by filters as in `server.auth.x509.filters`.', [], {
          separator: ';',
        }),
        serverName: optionalText(
          'Name to expect in the certificates of the other instances, if they are reached by IP address.',
        ),
      },
      { description: 'How instances authenticate to each other.' },
    ),
  },
  { description: 'Who may call the REST API: see [security](security.md).' },
);
