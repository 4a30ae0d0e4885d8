/**
 * The agent's configuration: types, defaults and documentation in one place, with the names of Armory's public reference.
 * docs/agent-configuration.md and the chart's values.schema.json are made from it. Keyword of our own on a leaf: `secret`
 * (never shown; may be `file:/PATH` or `env:NAME`).
 */

import Type, { type Static, type TSchemaOptions } from 'typebox';

const flag = (description: string, value: boolean) => Type.Boolean({ description, default: value });
const text = (description: string, value: string, options: TSchemaOptions = {}) =>
  Type.String({ description, default: value, minLength: 1, ...options });
const optionalText = (description: string, options: TSchemaOptions = {}) =>
  Type.Optional(Type.String({ description, minLength: 1, ...options }));
const secret = (description: string) => optionalText(description, { secret: true });
const list = (description: string, value: string[] = []) =>
  Type.Array(Type.String({ minLength: 1 }), { description, default: value });
const count = (description: string, value: number, minimum: number, maximum: number) =>
  Type.Integer({ description, default: value, minimum, maximum });
const section = <T extends Parameters<typeof Type.Object>[0]>(properties: T) =>
  Type.Object(properties, { additionalProperties: false });

/** One of `kubernetes.accounts`. */
export const accountSchema = section({
  name: Type.String({ description: 'Name of the account; unique in the cluster of gateways.', minLength: 1 }),
  serviceAccount: flag('Reach the cluster that the agent runs in, as its own service account.', false),
  kubeConfigFile: optionalText(
    'Reach a cluster by this kubeconfig file. Read anew every five minutes, and when it is refused.',
  ),
  context: optionalText('Context of the kubeconfig. Default: its current one.'),
  insecure: flag("Do not verify the API server's certificate.", false),
  noProxy: flag('Ignore the proxy that the kubeconfig names.', false),
  namespaces: list('The account covers these namespaces only; empty: all. Operations elsewhere are refused.'),
  omitNamespaces: list('Namespaces that the account does not cover.'),
  kinds: list('Kinds to cache, "Deployment" or "Certificate.cert-manager.io"; empty: all that the gateway wants.'),
  omitKinds: list('Kinds not to cache.'),
  customResourceDefinitions: Type.Array(
    section({
      kind: Type.String({ description: 'Kind, or kind and group: "Certificate.cert-manager.io".', minLength: 1 }),
      scope: Type.Enum(['Namespaced', 'Cluster'], {
        description: 'Accepted for compatibility: the cluster itself says it.',
        default: 'Namespaced',
      }),
    }),
    { description: 'Custom resources to cache beside `kinds`.', default: [] },
  ),
  onlyNamespacedResources: flag('Cover nothing that is in no namespace.', false),
  onlySpinnakerManaged: flag('Cache only what carries the label app.kubernetes.io/managed-by: spinnaker.', false),
  maxResumableResourceAgeMs: count(
    'Accepted for compatibility: the API server itself says when a version is too old to resume from.',
    300_000,
    0,
    86_400_000,
  ),
  permissions: Type.Array(Type.Unknown(), {
    description: 'Accepted for compatibility, and sent as the account’s property.',
    default: [],
  }),
  oAuthScopes: list('Accepted for compatibility: the kubeconfig’s own plugin knows its scopes.'),
  metrics: flag('Accepted for compatibility.', false),
});

export const agentSchema = section({
  agentId: optionalText('Unique name of this agent process. Default: POD_NAME, or else the host name.'),
  zoneId: optionalText('Zone of the agent. Default: DEPLOYMENT_NAME_POD_NAMESPACE, or else the agent’s id.'),
  clouddriver: section({
    grpc: text('Where gateways are dialled: HOST:PORT, several by commas.', 'spin-clouddriver-grpc:9091'),
    insecure: flag('Dial without TLS.', true),
    noProxy: flag('Accepted for compatibility: gateways are dialled without a proxy unless http_proxy is set.', false),
    keepAliveHeartbeatSeconds: count('An HTTP/2 PING after this many seconds.', 20, 1, 3_600),
    keepAliveTimeOutSeconds: count('The connection is dead when a PING is not answered for so long.', 20, 1, 3_600),
    keepAliveOperationSeconds: count(
      'Accepted for compatibility: pings of the gateway tell a dead stream.',
      0,
      0,
      86_400,
    ),
    backoff: section({
      baseDelay: count('First pause between two dials, in nanoseconds.', 1_000_000_000, 1_000_000, 3_600_000_000_000),
      multiplier: Type.Number({ description: 'Growth of the pause.', default: 1.6, minimum: 1, maximum: 10 }),
      jitter: Type.Number({ description: 'Part of the pause that is random.', default: 0.2, minimum: 0, maximum: 1 }),
      maxDelay: count('Longest pause, in nanoseconds.', 120_000_000_000, 1_000_000, 3_600_000_000_000),
    }),
    responseRetries: section({
      enabled: flag('Accepted for compatibility: a result is always sent until the gateway has it.', true),
      maxRetries: count('Accepted for compatibility.', 3, 0, 1_000),
      backOffMs: count('Accepted for compatibility.', 3_000, 0, 3_600_000),
    }),
    auth: section({
      token: secret(
        'Bearer token that the agent shows the gateway; with clouddriver.insecure it travels in cleartext.',
      ),
      tokenFile: optionalText('File with the token; read anew at each dial (a projected service account token).'),
      tokenCommand: section({
        command: optionalText('Program that prints the token, or an ExecCredential of client-go.'),
        args: list('Its arguments.'),
        format: Type.Array(Type.Unknown(), { description: 'Accepted for compatibility.', default: [] }),
        refreshIntervalSeconds: count('Runs it again after so long; 0: before each dial.', 0, 0, 86_400),
      }),
    }),
    tls: section({
      serverName: optionalText('Name to expect in the gateway’s certificate. Default: the host that is dialled.'),
      insecureSkipVerify: flag('Do not verify the gateway’s certificate.', false),
      cacertFile: optionalText('PEM file of the authorities to trust. Default: those of Node.js. Read at each dial.'),
      clientCertFile: optionalText('PEM file of the agent’s certificate and chain. Read at each dial.'),
      clientKeyFile: optionalText('PEM file of its private key. Read at each dial.'),
      clientKeyFilePassword: secret('Password of the private key.'),
    }),
  }),
  dynamicAccounts: section({
    enabled: flag('Take accounts that the gateway asks for.', false),
    interceptor: section({ enabled: flag('Accepted for compatibility.', true) }),
    scanBatchSize: count('Accepted for compatibility: the gateway scans.', 572, 1, 100_000),
    scanFrequencySeconds: count('Accepted for compatibility.', 120, 1, 86_400),
    namePatterns: list('Accepted for compatibility.'),
    credentialScanNamePatterns: list('Accepted for compatibility.'),
  }),
  kubernetes: section({
    accounts: Type.Array(accountSchema, { description: 'The accounts that this agent serves.', default: [] }),
    noProxy: flag('Ignore the proxies that kubeconfigs name.', false),
    requestTimeoutMs: count('How long one answer of an API server may take.', 30_000, 1_000, 600_000),
    reconnectTimeoutMs: count('First pause before a watch that failed is begun again.', 5_000, 10, 600_000),
    cacheGroupSize: count('Accepted for compatibility: tasks.* bounds what is listed at the same time.', 0, 0, 100_000),
    cacheGroupDelayMs: count('Accepted for compatibility.', 0, 0, 3_600_000),
    serverSideApply: section({
      enabled: Type.Enum(['allowed', 'never'], {
        description: 'Whether manifests are applied by the server where an operation does not say how.',
        default: 'allowed',
      }),
      clearManagedFields: text('Accepted for compatibility.', 'allowed'),
      manifestDefaults: text('Accepted for compatibility.', 'allowed'),
      kinds: Type.Array(Type.Unknown(), { description: 'Accepted for compatibility.', default: [] }),
    }),
    retries: section({
      enabled: flag('Send a request to an API server again when it failed and may be repeated.', true),
      maxRetries: count('Attempts after the first.', 3, 0, 100),
      backOffMs: count('First pause between two attempts; a server’s Retry-After counts more.', 3_000, 0, 600_000),
      retryAnyError: flag('Any answer of 500 and above is worth another attempt.', false),
      retryableErrors: list(
        'Answers of 500 and above of such a status (`500`) or reason (`InternalError`) are, too; `timeout` and `deadline exceeded` are the reasons `Timeout` and `ServerTimeout`. Words of messages are not compared.',
        ['timeout', 'deadline exceeded'],
      ),
    }),
  }),
  tasks: section({
    totalBudget: count('Lists of API servers at the same time.', 20, 1, 10_000),
    budgetPerAccount: count('Of one account.', 5, 1, 10_000),
    queueCheckFrequencyMs: count('Accepted for compatibility: nothing polls.', 2_000, 1, 3_600_000),
    maxOperations: count('Operations that are executed at the same time.', 100, 1, 10_000),
    drainSeconds: count('At a stop, operations that are under way have so long to end.', 20, 0, 3_600),
  }),
  server: section({
    host: text('Address of /health, /readyz. In a pod: 0.0.0.0.', 'localhost'),
    port: count('Port of /health and /readyz; 0: none.', 8_082, 0, 65_535),
  }),
  prometheus: section({
    enabled: flag('Serve /metrics.', false),
    port: count('Port of /metrics, on server.host.', 8_008, 1, 65_535),
  }),
  logging: section({
    level: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], {
      description: 'Least level.',
      default: 'info',
    }),
    format: Type.Enum(['text', 'json'], { description: 'Lines for people, or JSON.', default: 'text' }),
    file: optionalText('File to write to. Default: standard output.'),
    fields: Type.Unsafe<Record<string, string>>(
      Type.Object({}, { description: 'Fields of every line.', default: {}, additionalProperties: { type: 'string' } }),
    ),
    multiWrite: flag('Accepted for compatibility.', false),
    maxSizeMb: count('Accepted for compatibility: files are for the system to rotate.', 1, 1, 100_000),
    maxAgeDays: count('Accepted for compatibility.', 10, 0, 100_000),
    maxBackups: count('Accepted for compatibility.', 10, 0, 100_000),
    localTime: flag('Accepted for compatibility: times are UTC.', true),
    compress: flag('Accepted for compatibility.', false),
  }),
  timeoutSeconds: count('Deadline of operations that carry none; 0: 30.', 0, 0, 86_400),
});

export type AgentConfiguration = Static<typeof agentSchema>;
export type AccountConfiguration = AgentConfiguration['kubernetes']['accounts'][number];
