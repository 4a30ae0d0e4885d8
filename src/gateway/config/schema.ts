/**
 * The schema of the configuration: types, defaults, limits and documentation in one place. Everything else in this
 * folder (sources, checks, docs/configuration.md) is derived from it. Longer than most files because it is one table.
 *
 * Keywords of our own on a leaf: `secret` (its value is never shown; 'url': but for its host), `unit: 'bytes'` (a number of bytes that may be
 * written as 4MB), `synonyms` of choices, `separator` of a list as text (default: a comma),
 * `jdbc` (a database URL that may be written as JDBC has it), `path` (of a file; may be written `file:/PATH`), `derived` (the default depends on other settings: this text documents it, derived.ts computes it).
 * kubesvc.* names are those of Armory's public reference.
 */

/* eslint-disable max-lines -- one table, see above */

import Type, { type Static, type TSchemaOptions } from 'typebox';
import { bytes, count, flag, list, optionalText, path, port, secret, text } from './leaf-schemas.js';
import { callers, connectionLimits, tls, tokens, x509 } from './security-schemas.js';
import { spinnaker } from './spinnaker-schemas.js';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const databaseUrl: TSchemaOptions = {
  secret: 'url',
  jdbc: true,
  pattern: '^((mysql|mariadb|postgresql|postgres)://[^/]+/.+|pglite:(memory|[./].*))$',
  expected: 'mysql://HOST:PORT/DATABASE, postgresql://HOST:PORT/DATABASE, pglite:memory or pglite:/DIRECTORY',
};

/** The kinds that Armory's plugin caches by default. */
const defaultKinds = [
  'ReplicaSet',
  'Service',
  'Ingress',
  'DaemonSet',
  'Deployment',
  'Pod',
  'StatefulSet',
  'Job',
  'CronJob',
  'NetworkPolicy',
  'Namespace',
  'CustomResourceDefinition',
];

export const configSchema = Type.Object({
  instance: Type.Object(
    {
      id: Type.String({
        description:
          'Name of this instance in assignments and in `/armory/clouddrivers`. Must be unique in the cluster.',
        derived: 'the pod name: `POD_NAME`, else the host name',
        minLength: 1,
        maxLength: 253,
      }),
      baseUrl: Type.String({
        description: 'URL at which other instances reach the REST API of this one.',
        derived:
          '`http(s)://<POD_IP, else the first IPv4 address, else 127.0.0.1>:<server.port>`; 127.0.0.1 when local',
        pattern: '^https?://[^/]+$',
        expected: 'a URL without a path, such as http://10.0.0.7:7002',
      }),
    },
    { description: 'This instance.' },
  ),

  server: Type.Object(
    {
      address: Type.String({
        description: 'Address that the REST API listens on; `*` means every address.',
        derived: '`127.0.0.1` when `kubesvc.cluster` is `local`, else `*`',
        minLength: 1,
      }),
      port: port('Port of the REST API; 0 lets the system choose.', 7002),
      maxBodySize: bytes(
        'Largest request body. An operation is larger as JSON than as protobuf.',
        8 << 20,
        1 << 10,
        256 << 20,
      ),
      maxHeaderSize: bytes('Largest total size of the request headers.', 16 << 10, 4 << 10, 1 << 20),
      ...connectionLimits('callers and other instances'),
      requestTimeoutMs: count(
        'Time within which a caller must send the whole request, from its first byte to its last.',
        60_000,
        1_000,
        hour,
      ),
      idleTimeoutMs: count(
        'Idle time after which a connection is closed if it has no request under way, or if its caller does not read the response. Keep it above 30 s: instances close their idle connections to each other after that time, and must be the first to close them.',
        75_000,
        1_000,
        hour,
      ),
      maxRequestsPerSecond: count(
        'Requests per second that one caller (by principal, else by address) may send to the whole cluster. Further requests are refused with 429. 0: no limit. The count is kept in Redis; without Redis there is no limit.',
        0,
        0,
        1_000_000,
      ),
      ssl: tls('TLS of the REST API. This instance presents the same certificate when it calls other instances.'),
      auth: callers,
    },
    { description: 'The REST API.' },
  ),

  kubesvc: Type.Object(
    {
      cluster: Type.Enum(['local', 'kubernetes', 'redis', 'static'], {
        description:
          'How instances find each other. `local`: there is only one instance; `kubernetes`: by the Endpoints of a ' +
          'Service; `redis`: through Redis; `static`: from a fixed list. `none` is accepted for `local`.',
        default: 'local',
        synonyms: { none: 'local' },
      }),
      'cluster-kubernetes': Type.Object(
        {
          kubeconfigFile: path('Kubeconfig to use. Default: the service account of the pod.'),
          verifySsl: flag('Verify the certificate of the Kubernetes API server.', true),
          namespace: optionalText('Namespace to look in. Default: the namespace of the pod.'),
          httpPortName: text('Name of the Service port of the REST API; case does not matter.', 'http'),
          clouddriverServiceNamePrefix: text('Prefix of the names of the Services to use.', 'spin-clouddriver'),
          failFast: flag('Refuse to start if permissions are missing. If false, warn and retry.', true),
          useDNS: flag('Reach other instances by DNS name instead of IP address.', false),
          domainName: text('DNS domain of the cluster, for `useDNS`.', 'cluster.local'),
        },
        { description: 'Discovery in Kubernetes.' },
      ),
      'cluster-redis': Type.Object(
        {
          timeToLiveSeconds: count(
            'Time after which an instance that no longer announces itself is considered gone.',
            10,
            2,
            3600,
          ),
        },
        { description: 'Discovery through Redis, for clusters outside Kubernetes.' },
      ),
      'cluster-static': Type.Object(
        {
          instances: list('Base URLs of all instances, such as `http://10.0.0.7:7002`.', [], {
            items: Type.String({ pattern: '^https?://[^/]+/?$' }),
            expected: 'a list of URLs without a path, such as http://10.0.0.7:7002',
          }),
        },
        { description: 'Discovery by a fixed list.' },
      ),
      grpc: Type.Object({
        server: Type.Object(
          {
            address: Type.String({
              description: 'Address that agents connect to; `*` means every address.',
              derived: '`127.0.0.1` when `kubesvc.cluster` is `local`, else `*`',
              minLength: 1,
            }),
            port: port('Port that agents connect to; 0 lets the system choose.', 9091),
            healthServiceEnabled: flag('Serve `grpc.health.v1.Health`.', true),
            reflectionServiceEnabled: flag('Serve `grpc.reflection.v1.ServerReflection`.', true),
            maxInboundMessageSize: bytes(
              'Largest message that an agent may send. Larger ones are refused.',
              4 << 20,
              16 << 10,
              256 << 20,
            ),
            keepAliveTimeMs: count(
              'Time between HTTP/2 keepalive pings on a connection. The pings of the agent protocol detect silent agents sooner.',
              60_000,
              1_000,
              day,
            ),
            keepAliveTimeoutMs: count(
              'Time to wait for the answer to a keepalive ping before the connection is closed.',
              20_000,
              100,
              hour,
            ),
            maxConnectionAgeSeconds: count(
              'Age at which an agent is asked to reconnect, so that new instances get their share of agents; 0: never.',
              7_200,
              0,
              604_800,
            ),
            maxConnectionAgeGraceSeconds: count(
              'Time that an agent has to finish its work after it was asked to reconnect.',
              30,
              1,
              3_600,
            ),
            handshakeTimeoutMs: count(
              'Time within which a connection must complete the TLS handshake and the HTTP/2 preface.',
              10_000,
              100,
              5 * minute,
            ),
            ...connectionLimits('agents'),
            maxRegistrationsPerMinute: count(
              'Registrations per minute on one instance, by principal, or by address if agents do not authenticate. Further ones are refused with RESOURCE_EXHAUSTED.',
              60_000,
              1,
              10_000_000,
            ),
            maxAgentsPerIdentity: count('Streams of one principal on one instance.', 10_000, 1, 1_000_000),
            maxAccountsPerAgent: count('Accounts that one agent may register. More are refused.', 50_000, 1, 1_000_000),
            security: tls('TLS and client certificates of agents.'),
          },
          { description: 'The port of the agents.' },
        ),
        auth: Type.Object(
          {
            x509: x509('an agent', 'Agents authenticated by certificate.'),
            tokens: tokens('agents'),
            policyFile: path(
              'YAML file that lists the zones and accounts that a principal may serve: `agents: [{name, match, zones, accounts}]`. Reloaded when it changes.',
            ),
          },
          { description: 'How agents authenticate and what they may do: see [security](security.md).' },
        ),
      }),
      cache: Type.Object(
        {
          cacheDefaults: list('Kinds that agents cache if `cacheKinds` is not set.', defaultKinds),
          cacheKinds: Type.Array(Type.String({ minLength: 1 }), {
            description:
              'Kinds that agents cache: `Deployment`, or `Certificate.cert-manager.io` for one API group only. Objects of other kinds are dropped.',
            derived: '`kubesvc.cache.cacheDefaults`',
          }),
          cacheOmitKinds: list('Kinds that are never cached, even if `cacheKinds` or `cacheAll` includes them.'),
          cacheAll: flag('Cache every kind of the target cluster.', false),
          accountCleanupFrequencySeconds: count(
            'Time after which an account that no agent serves is removed.',
            600,
            1,
            604_800,
          ),
          cleanDataWithUnusedAccounts: flag('Remove the cached objects of an account together with the account.', true),
          eventsCleanupFrequencySeconds: count(
            'Age at which cached Kubernetes events (kind Event) are removed.',
            7_200,
            1,
            604_800,
          ),
          namespaceExpiryMinutes: count(
            'Time from the deletion of a namespace to the removal of its cached objects; 0: at once.',
            0,
            0,
            525_600,
          ),
          onDemandQuickWaitMs: count('Time that a request waits for a fresh object.', 10_000, 1, 10 * minute),
          operationWaitMs: count(
            'Time that an operation waits for its result, unless the request sets its own.',
            30_000,
            1,
            hour,
          ),
        },
        { description: 'Cached objects, and how long callers wait.' },
      ),
      dynamicAccounts: Type.Object(
        {
          enabled: flag(
            'Serve `/armory/accounts`. If false, it answers 501, and agents go on serving the accounts that they have.',
            false,
          ),
          maxRetries: count('Retries of a failed attempt before the account stays FAILED.', 3, 0, 1_000),
          retryFrequencySeconds: count('Time between attempts.', 5, 1, 86_400),
          agentTimeoutMs: count('Time that an agent may take to start or stop serving an account.', 30_000, 100, hour),
          encryptionKey: Type.Optional(
            Type.String({
              description:
                'Key that encrypts stored kubeconfigs (AES-256-GCM); the same on every instance. Make one with `openssl rand -base64 32`. Without it, kubeconfigs must be references.',
              secret: true,
              pattern: '^([0-9A-Fa-f]{64}|[A-Za-z0-9+/]{43}=)$',
              expected: '32 bytes as base64 or hex',
            }),
          ),
          kubeconfigDirectory: path(
            'Directory of the files that `file:PATH` may name. Without it, `file:PATH` is refused.',
          ),
          clouddriverUrl: optionalText('Base URL of a Clouddriver to migrate accounts from.', {
            secret: 'url',
            pattern: '^https?://.+$',
            expected: 'a URL such as http://spin-clouddriver:7002',
          }),
          namePatterns: list(
            'Regular expressions for the names of Clouddriver accounts to migrate automatically; empty: none.',
          ),
          scanBatchSize: count('Accounts to read from Clouddriver at a time.', 572, 1, 100_000),
          scanFrequencySeconds: count('Time between two scans of Clouddriver.', 120, 1, 604_800),
        },
        { description: 'Accounts that are added and removed over REST: see [dynamic accounts](dynamic-accounts.md).' },
      ),
      jobs: Type.Object({
        'operation-history': Type.Object({
          purge: Type.Object({
            weeks: count(
              'Age at which records of operations are removed. One instance does it, a few records at a time.',
              1,
              1,
              520,
            ),
            cron: optionalText(
              'When to remove old records, in UTC: a Spring cron expression of six fields, seconds first.',
              {
                derived: 'continuously, a little at a time',
                examples: ['0 0 3 * * 0'],
              },
            ),
          }),
        }),
      }),
      locks: Type.Object(
        {
          waitToGetMilliseconds: count('Time to wait for a lock that another instance holds.', 3_000, 1, hour),
          cleanupFrequencyMilliseconds: count('Time between two removals of expired locks.', 3_000, 100, day),
        },
        { description: 'Locks between instances.' },
      ),
      operations: Type.Object(
        {
          maxPending: count(
            'Operations in flight on one instance. Further ones are refused with 429.',
            20_000,
            1,
            10_000_000,
          ),
          maxPendingBytes: bytes(
            'Total size of the operations in flight on one instance. Further ones are refused with 429.',
            256 << 20,
            1 << 20,
            2 ** 40,
          ),
          maxPendingPerAgent: count('Operations in flight to one agent.', 1_000, 1, 1_000_000),
          agentQueueLimit: count('Operations that may wait until one agent reads them.', 1_000, 1, 1_000_000),
          routingAttempts: count(
            'Attempts to find the owner of an account, including the first, with growing pauses; 8 attempts take about 4 s.',
            8,
            1,
            20,
          ),
          forwardTimeoutMs: count(
            'Time that one attempt to forward an operation to its owner may take.',
            5_000,
            50,
            hour,
          ),
          peerConnections: count('Connections to each of the other instances.', 4, 1, 256),
          maxTimeoutMs: count('Longest timeout that a request may set for an operation.', hour, 1_000, 7 * day),
          retry: Type.Object({
            maxRetries: count('Retries of an operation that no agent has taken.', 3, 0, 100),
          }),
        },
        { description: 'Limits on operations. Each applies per instance.' },
      ),
      kubernetesApi: Type.Object(
        {
          enabled: flag('Serve the Kubernetes API of every account at `/kubernetes/accounts/ACCOUNT`.', true),
          publicUrl: optionalText(
            'URL at which kubectl and other clients reach the instances, for the kubeconfigs that `/kubernetes/kubeconfig` writes.',
            {
              derived: 'the scheme and the host of the request for the kubeconfig',
              pattern: '^https?://[^/?#]+(/[^?#]*)?$',
              expected: 'a URL such as https://gateway.example.com:7002',
              examples: ['https://gateway.example.com:7002'],
            },
          ),
          maxRequests: count(
            'Requests of the Kubernetes API under way on one instance; at most half of them shells and port-forwards, and nine tenths these and watches. Further ones are refused with 429.',
            10_000,
            1,
            1_000_000,
          ),
          maxRequestsPerAgent: count(
            'Requests of the Kubernetes API under way to one agent, shared out in the same way. Further ones are refused with 429.',
            1_000,
            1,
            1_000_000,
          ),
          holdMs: count(
            'Time that a request waits for an account whose agent is changing instances before it is refused with 503.',
            5_000,
            0,
            minute,
          ),
        },
        { description: 'The Kubernetes API of every account: see [Kubernetes API](kubernetes-api.md).' },
      ),
      instances: Type.Object(
        {
          heartbeatMs: count('Time between two renewals of the lease of an instance.', 1_000, 100, 10 * minute),
          leaseMs: count(
            'Time without a renewal after which an instance counts as dead and its agents are released.',
            5_000,
            500,
            hour,
          ),
        },
        { description: 'Leases of instances, kept in SQL.' },
      ),
      offline: Type.Object(
        {
          forgetAfterSeconds: count(
            'Time after which agents, with their accounts, and instances that are gone are no longer shown as offline.',
            604_800,
            1,
            90 * 86_400,
          ),
        },
        { description: 'Agents, accounts and instances that were here and are not.' },
      ),
      rebalance: Type.Object(
        {
          enabled: flag('Ask idle agents to reconnect if their instance has more agents than its share.', true),
          periodSeconds: count('Time between two rounds.', 10, 1, 86_400),
          tolerance: Type.Number({
            description:
              'How far above the mean an instance may be: 1.2 allows up to 1.2 times the mean number of agents.',
            default: 1.2,
            minimum: 1,
            maximum: 100,
          }),
        },
        { description: 'Even distribution of agents over instances.' },
      ),
      drain: Type.Object(
        {
          timeoutMs: count('Longest time from SIGTERM to exit.', 30_000, 0, hour),
          endpointRemovalMs: Type.Integer({
            description: 'Time for load balancers to stop sending requests, before the instance refuses any.',
            derived: '0 when `kubesvc.cluster` is `local`, else 3000',
            minimum: 0,
            maximum: hour,
          }),
          reconnectSpreadMs: count('Time over which agents are asked to reconnect, one by one.', 10_000, 0, hour),
        },
        { description: 'How an instance stops.' },
      ),
    },
    { description: "Options of Armory's plugin, and further options in the same style." },
  ),

  spinnaker,

  sql: Type.Object(
    {
      url: text(
        'Database: `mysql://host:3306/db` (MySQL, MariaDB), `postgresql://host:5432/db`, `pglite:memory` or ' +
          '`pglite:/DIRECTORY` (embedded, one instance). A leading `jdbc:` is accepted.',
        'pglite:memory',
        databaseUrl,
      ),
      user: optionalText('User. Overrides the user in the URL.'),
      password: secret('Password. Overrides the password in the URL.'),
      maxPoolSize: count('Connections of one instance.', 20, 1, 1_000),
      connectionTimeoutMs: count('Time to wait for a connection.', 5_000, 100, 5 * minute),
      queryTimeoutMs: count('Time that one statement may take.', 10_000, 100, hour),
      ssl: Type.Object(
        {
          enabled: flag('Connect with TLS.', false),
          verify: flag("Verify the server's certificate, and the host name if the URL has one.", true),
          trustCertCollection: path('PEM file with the CAs to trust. Default: those of Node.js.'),
          certificateChain: path('PEM file with the client certificate.'),
          privateKey: path('PEM file with the private key of the client certificate.'),
        },
        { description: 'TLS to the database.' },
      ),
      migration: Type.Object(
        {
          url: optionalText('URL of the database for migrations, if it differs from `sql.url`.', databaseUrl),
          user: optionalText('User that may create and alter tables. Default: `sql.user`.'),
          password: secret('Password of that user.'),
        },
        { description: 'The database user that creates and alters the tables.' },
      ),
    },
    { description: 'The database: the source of truth for ownership and operations.' },
  ),

  redis: Type.Object(
    {
      connection: optionalText('`redis://HOST:PORT/DB`, or `rediss://` for TLS. Without it, Redis is not used.', {
        secret: 'url',
        pattern: '^rediss?://.+$',
        expected: 'a URL that starts with redis:// or rediss://',
      }),
      password: secret('Password. Overrides the password in the URL.'),
      keyPrefix: text('Prefix of every key and channel. Each cluster of gateways needs its own.', 'kubesvc:'),
    },
    { description: 'Redis. Every cluster of more than one instance needs it for coordination.' },
  ),

  logging: Type.Object(
    {
      level: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'], {
        description: 'Lowest level that is logged.',
        default: 'info',
      }),
      format: Type.Enum(['json', 'text'], {
        description: '`json`: one object per line; `text`: lines for people.',
        derived: '`text` on a terminal, else `json`',
      }),
    },
    { description: 'The log, on standard output.' },
  ),

  tracing: Type.Object(
    {
      enabled: flag('Trace operations with OpenTelemetry.', false),
      endpoint: text('URL to send spans to, as OTLP over HTTP.', 'http://127.0.0.1:4318/v1/traces', {
        pattern: '^https?://[^/]+/.*$',
        expected: 'a URL such as http://collector:4318/v1/traces',
      }),
      samplePercent: count(
        'Percentage of the traces started here that are kept. If a caller started the trace, its sampling decision applies.',
        100,
        0,
        100,
      ),
    },
    { description: 'Traces of operations, from the request to the result.' },
  ),
});

type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

/** The whole configuration, validated, with every default filled in; frozen. */
export type Config = DeepReadonly<Static<typeof configSchema>>;

/** TLS of one port. */
export type TlsConfig = Config['server']['ssl'];

/** Who may come in at one port. */
export type AuthenticationConfig = Config['kubesvc']['grpc']['auth'];
