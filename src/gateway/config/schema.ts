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
        description: 'Name of this instance in assignments and in `/armory/clouddrivers`; unique in the cluster.',
        derived: 'the pod name: `POD_NAME`, else the host name',
        minLength: 1,
        maxLength: 253,
      }),
      baseUrl: Type.String({
        description: 'Where the other instances reach the REST API of this one.',
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
        description: 'Address that the REST API listens on; `*` is every address.',
        derived: '`127.0.0.1` when `kubesvc.cluster` is `local`, else `*`',
        minLength: 1,
      }),
      port: port('Port of the REST API; 0 lets the system choose.', 7002),
      maxBodySize: bytes(
        'Largest request body. An operation as JSON is larger than on the wire.',
        8 << 20,
        1 << 10,
        256 << 20,
      ),
      maxHeaderSize: bytes('Largest sum of request headers.', 16 << 10, 4 << 10, 1 << 20),
      ...connectionLimits('callers and other instances'),
      requestTimeoutMs: count(
        'Time that a caller has to send a request, from its first byte to its last.',
        60_000,
        1_000,
        hour,
      ),
      idleTimeoutMs: count(
        'A connection without any byte for so long is ended when it has no request, or an answer that its caller does not read. Instances keep theirs for 30 s and have to end them first.',
        75_000,
        1_000,
        hour,
      ),
      maxRequestsPerSecond: count(
        'Requests of one caller (its identity, else its address) to the whole cluster, counted in Redis; more are refused with 429. 0: no limit. Without Redis none is refused.',
        0,
        0,
        1_000_000,
      ),
      ssl: tls('TLS of the REST API; also what this instance shows when it calls others.'),
      auth: callers,
    },
    { description: 'The REST API.' },
  ),

  kubesvc: Type.Object(
    {
      cluster: Type.Enum(['local', 'kubernetes', 'redis', 'static'], {
        description:
          'How instances find each other: one instance alone, by the Endpoints of a Kubernetes Service, through ' +
          'Redis, or a fixed list. `none` is accepted for `local`.',
        default: 'local',
        synonyms: { none: 'local' },
      }),
      'cluster-kubernetes': Type.Object(
        {
          kubeconfigFile: path('Kubeconfig to use; without it, the service account of the pod.'),
          verifySsl: flag('Check the certificate of the Kubernetes API server.', true),
          namespace: optionalText('Namespace to look in; without it, the one of the pod.'),
          httpPortName: text('Name of the Service port of the REST API, compared without regard to case.', 'http'),
          clouddriverServiceNamePrefix: text('Services whose names start with it are used.', 'spin-clouddriver'),
          failFast: flag('Refuse to start without the permissions; off: warn and try again.', true),
          useDNS: flag('Reach members by their DNS names and not by their IP addresses.', false),
          domainName: text('DNS domain of the cluster, for `useDNS`.', 'cluster.local'),
        },
        { description: 'Discovery in Kubernetes.' },
      ),
      'cluster-redis': Type.Object(
        {
          timeToLiveSeconds: count('An instance that has not announced itself for so long is gone.', 10, 2, 3600),
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
              description: 'Address that agents connect to; `*` is every address.',
              derived: '`127.0.0.1` when `kubesvc.cluster` is `local`, else `*`',
              minLength: 1,
            }),
            port: port('Port that agents connect to; 0 lets the system choose.', 9091),
            healthServiceEnabled: flag('Serve `grpc.health.v1.Health`.', true),
            reflectionServiceEnabled: flag('Serve `grpc.reflection.v1.ServerReflection`.', true),
            maxInboundMessageSize: bytes(
              'Largest message from an agent; a larger one is refused.',
              4 << 20,
              16 << 10,
              256 << 20,
            ),
            keepAliveTimeMs: count(
              'Time between two HTTP/2 keepalive pings on a connection. Silent agents are found sooner, by pings of the protocol.',
              60_000,
              1_000,
              day,
            ),
            keepAliveTimeoutMs: count(
              'A keepalive ping without an answer for so long ends the connection.',
              20_000,
              100,
              hour,
            ),
            maxConnectionAgeSeconds: count(
              'A connection is asked to reconnect after so long, so that new instances get agents; 0: never.',
              7_200,
              0,
              604_800,
            ),
            maxConnectionAgeGraceSeconds: count('Time that an asked agent has to finish.', 30, 1, 3_600),
            handshakeTimeoutMs: count(
              'A connection that has not finished TLS and the HTTP/2 preface by then is closed.',
              10_000,
              100,
              5 * minute,
            ),
            ...connectionLimits('agents'),
            maxRegistrationsPerMinute: count(
              'Registrations of one identity, or of one address where agents prove nothing, on one instance; more are refused with RESOURCE_EXHAUSTED.',
              60_000,
              1,
              10_000_000,
            ),
            maxAgentsPerIdentity: count('Streams of one identity on one instance.', 10_000, 1, 1_000_000),
            maxAccountsPerAgent: count('Accounts of one agent; more are refused.', 50_000, 1, 1_000_000),
            security: tls('TLS and client certificates of agents.'),
          },
          { description: 'The port of the agents.' },
        ),
        auth: Type.Object(
          {
            x509: x509('an agent', 'Identity of agents by certificate.'),
            tokens: tokens('agents'),
            policyFile: path(
              'YAML file that says which zones and accounts an identity may have: `agents: [{name, match, zones, accounts}]`. Read again when it changes.',
            ),
          },
          { description: 'Who agents are, and what they may do: see [security](security.md).' },
        ),
      }),
      cache: Type.Object(
        {
          cacheDefaults: list('Kinds that agents cache unless `cacheKinds` says otherwise.', defaultKinds),
          cacheKinds: Type.Array(Type.String({ minLength: 1 }), {
            description:
              'Kinds that agents cache: `Deployment`, or `Certificate.cert-manager.io` for one group only. Others are dropped.',
            derived: '`kubesvc.cache.cacheDefaults`',
          }),
          cacheOmitKinds: list('Kinds that are not cached, even if `cacheKinds` or `cacheAll` name them.'),
          cacheAll: flag('Cache every kind of the target cluster.', false),
          accountCleanupFrequencySeconds: count('How often accounts without an agent are removed.', 600, 1, 604_800),
          cleanDataWithUnusedAccounts: flag('Remove cached objects together with their account.', true),
          eventsCleanupFrequencySeconds: count(
            'Cached events of Kubernetes (kind Event) that are older are removed.',
            7_200,
            1,
            604_800,
          ),
          namespaceExpiryMinutes: count(
            'Cached objects of a namespace that is gone are removed after so long; 0: at once.',
            0,
            0,
            525_600,
          ),
          onDemandQuickWaitMs: count('How long a request waits for a fresh object.', 10_000, 1, 10 * minute),
          operationWaitMs: count('How long an operation waits for its result, unless it says.', 30_000, 1, hour),
        },
        { description: 'Cached objects, and how long callers wait.' },
      ),
      dynamicAccounts: Type.Object(
        {
          enabled: flag('Serve `/armory/accounts`; off: 501. Accounts that agents serve already are served on.', false),
          maxRetries: count('How often a failed attempt is repeated before the account stays FAILED.', 3, 0, 1_000),
          retryFrequencySeconds: count('Time between attempts.', 5, 1, 86_400),
          agentTimeoutMs: count('How long an agent may take to begin with an account or to end it.', 30_000, 100, hour),
          encryptionKey: Type.Optional(
            Type.String({
              description:
                'Key that kubeconfigs are stored with (AES-256-GCM), the same on every instance: `openssl rand -base64 32`. Without it only references are taken.',
              secret: true,
              pattern: '^([0-9A-Fa-f]{64}|[A-Za-z0-9+/]{43}=)$',
              expected: '32 bytes as base64 or hex',
            }),
          ),
          kubeconfigDirectory: path('Directory that `file:PATH` may name files in. Without it none may be named.'),
          clouddriverUrl: optionalText('Base URL of a Clouddriver whose accounts are migrated.', {
            secret: 'url',
            pattern: '^https?://.+$',
            expected: 'a URL such as http://spin-clouddriver:7002',
          }),
          namePatterns: list(
            'Regular expressions for names of Clouddriver accounts that are migrated by themselves; empty: none.',
          ),
          scanBatchSize: count('Accounts read from Clouddriver at a time.', 572, 1, 100_000),
          scanFrequencySeconds: count('Time between two scans of Clouddriver.', 120, 1, 604_800),
        },
        { description: 'Accounts that are added and removed by REST: see [dynamic accounts](dynamic-accounts.md).' },
      ),
      jobs: Type.Object({
        'operation-history': Type.Object({
          purge: Type.Object({
            weeks: count(
              'History of operations older than this is removed, by one instance, a few records at a time.',
              1,
              1,
              520,
            ),
            cron: optionalText('When to remove it, in UTC: a Spring cron expression of six fields, seconds first.', {
              derived: 'all the time, a little at a time',
              examples: ['0 0 3 * * 0'],
            }),
          }),
        }),
      }),
      locks: Type.Object(
        {
          waitToGetMilliseconds: count('How long to wait for a lock that another instance holds.', 3_000, 1, hour),
          cleanupFrequencyMilliseconds: count('How often locks that have expired are removed.', 3_000, 100, day),
        },
        { description: 'Locks between instances.' },
      ),
      operations: Type.Object(
        {
          maxPending: count('Operations in flight on one instance; more are refused with 429.', 20_000, 1, 10_000_000),
          maxPendingBytes: bytes(
            'Bytes of the operations in flight on one instance; more are refused with 429.',
            256 << 20,
            1 << 20,
            2 ** 40,
          ),
          maxPendingPerAgent: count('Operations in flight to one agent.', 1_000, 1, 1_000_000),
          agentQueueLimit: count('Operations that wait for one agent to read.', 1_000, 1, 1_000_000),
          routingAttempts: count(
            'How often an owner is looked for, the first time included, with growing pauses: 8 are about 4 s.',
            8,
            1,
            20,
          ),
          forwardTimeoutMs: count('How long one attempt to hand an operation to its owner may take.', 5_000, 50, hour),
          peerConnections: count('Connections to each other instance.', 4, 1, 256),
          maxTimeoutMs: count('Longest timeout that an operation may ask for.', hour, 1_000, 7 * day),
          retry: Type.Object({
            maxRetries: count('Retries of an operation that no agent took.', 3, 0, 100),
          }),
        },
        { description: 'Bounds of operations. They hold per instance.' },
      ),
      instances: Type.Object(
        {
          heartbeatMs: count('How often an instance renews its lease.', 1_000, 100, 10 * minute),
          leaseMs: count('An instance that has not renewed for so long is dead, its agents free.', 5_000, 500, hour),
        },
        { description: 'Life of an instance in SQL.' },
      ),
      rebalance: Type.Object(
        {
          enabled: flag('Ask idle agents of instances that have more than their share to reconnect.', true),
          periodSeconds: count('Time between two rounds.', 10, 1, 86_400),
          tolerance: Type.Number({
            description: 'An instance with up to so many times the mean is left alone.',
            default: 1.2,
            minimum: 1,
            maximum: 100,
          }),
        },
        { description: 'Evening out agents over instances.' },
      ),
      drain: Type.Object(
        {
          timeoutMs: count('Time from SIGTERM to exit.', 30_000, 0, hour),
          endpointRemovalMs: Type.Integer({
            description: 'Time that load balancers get to stop sending, before anything is refused.',
            derived: '0 when `kubesvc.cluster` is `local`, else 3000',
            minimum: 0,
            maximum: hour,
          }),
          reconnectSpreadMs: count('Agents are asked to reconnect one by one over this time.', 10_000, 0, hour),
        },
        { description: 'How an instance leaves.' },
      ),
    },
    { description: "The options of Armory's plugin, and ours in its style." },
  ),

  sql: Type.Object(
    {
      url: text(
        'Database: `mysql://host:3306/db` (MySQL, MariaDB), `postgresql://host:5432/db`, `pglite:memory` or ' +
          '`pglite:/DIRECTORY` (embedded, one instance). A `jdbc:` in front is accepted.',
        'pglite:memory',
        databaseUrl,
      ),
      user: optionalText('User; before one in the URL.'),
      password: secret('Password; before one in the URL.'),
      maxPoolSize: count('Connections of one instance.', 20, 1, 1_000),
      connectionTimeoutMs: count('How long to wait for a connection.', 5_000, 100, 5 * minute),
      queryTimeoutMs: count('How long one statement may take.', 10_000, 100, hour),
      ssl: Type.Object(
        {
          enabled: flag('Connect by TLS.', false),
          verify: flag("Check the server's certificate, and its name where the URL has one.", true),
          trustCertCollection: path('PEM file with the authorities to trust; without it, those of Node.js.'),
          certificateChain: path('PEM file with the certificate to show to the server.'),
          privateKey: path('PEM file with its private key.'),
        },
        { description: 'TLS to the database.' },
      ),
      migration: Type.Object(
        {
          url: optionalText('Database to migrate, where it is reached in another way.', databaseUrl),
          user: optionalText('User that may create and alter tables; without it, `sql.user`.'),
          password: secret('Password of that user.'),
        },
        { description: 'Who changes the tables.' },
      ),
    },
    { description: 'The database, the truth about ownership and operations.' },
  ),

  redis: Type.Object(
    {
      connection: optionalText('`redis://HOST:PORT/DB` or, with TLS, `rediss://`. Without it no Redis is used.', {
        secret: 'url',
        pattern: '^rediss?://.+$',
        expected: 'a URL that starts with redis:// or rediss://',
      }),
      password: secret('Password; before one in the URL.'),
      keyPrefix: text('In front of every key and channel; one per cluster of gateways.', 'kubesvc:'),
    },
    { description: 'The coordination layer of every cluster of more than one instance.' },
  ),

  logging: Type.Object(
    {
      level: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'], {
        description: 'What is logged: this level and above.',
        default: 'info',
      }),
      format: Type.Enum(['json', 'text'], {
        description: 'One JSON object a line, or lines for people.',
        derived: '`text` on a terminal, else `json`',
      }),
    },
    { description: 'The log, on standard output.' },
  ),

  tracing: Type.Object(
    {
      enabled: flag('Trace operations with OpenTelemetry.', false),
      endpoint: text('Where spans are sent, OTLP over HTTP.', 'http://127.0.0.1:4318/v1/traces', {
        pattern: '^https?://[^/]+/.*$',
        expected: 'a URL such as http://collector:4318/v1/traces',
      }),
      samplePercent: count(
        'Of the traces that begin here, how many are kept; others as their callers want it.',
        100,
        0,
        100,
      ),
    },
    { description: 'Traces of operations, from the call to the result.' },
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
