/**
 * The agent's configuration: types, defaults and documentation in one place, with the names of Armory's public
 * reference. docs/agent-configuration.md and the chart's values.schema.json are made from it. Further options of
 * Armory's agent and Clouddriver are in foreign.ts. Keywords of our own on a leaf: `secret` (never shown; may be
 * `file:/PATH` or `env:NAME`), `path` (of a file; may be `file:/PATH`), `verbatim` (taken as it is written), `synonyms`
 * of choices, `expected` in words.
 */

import Type, { type Static, type TSchemaOptions } from 'typebox';

const flag = (description: string, value: boolean) => Type.Boolean({ description, default: value });
const text = (description: string, value: string, options: TSchemaOptions = {}) =>
  Type.String({ description, default: value, minLength: 1, ...options });
const optionalText = (description: string, options: TSchemaOptions = {}) =>
  Type.Optional(Type.String({ description, minLength: 1, ...options }));
const secret = (description: string) => optionalText(description, { secret: true });
const path = (description: string) => optionalText(description, { path: true });
const list = (description: string, value: string[] = [], options: TSchemaOptions = {}) =>
  Type.Array(Type.String({ minLength: 1 }), { description, default: value, ...options });
const count = (description: string, value: number, minimum: number, maximum: number) =>
  Type.Integer({ description, default: value, minimum, maximum });
const section = <T extends Parameters<typeof Type.Object>[0]>(properties: T) =>
  Type.Object(properties, { additionalProperties: false });

/** By authorization of Spinnaker, the groups that have it. */
const groupNames = Type.Optional(Type.Array(Type.String({ pattern: '^\\S+$' })));
const groups = section({ READ: groupNames, WRITE: groupNames, EXECUTE: groupNames, CREATE: groupNames });

/** One of `kubernetes.accounts`. */
export const accountSchema = section({
  name: Type.String({ description: 'Name of the account; unique in the cluster of gateways.', minLength: 1 }),
  serviceAccount: flag('Reach the cluster that the agent runs in, as its own service account.', false),
  kubeConfigFile: path(
    'Reach a cluster by this kubeconfig file. Read anew every five minutes, and when it is refused.',
  ),
  context: optionalText('Context of the kubeconfig. Default: its current one.'),
  insecure: flag("Do not verify the API server's certificate.", false),
  noProxy: flag('As kubernetes.noProxy, for this account.', false),
  namespaces: list('The account covers these namespaces only; empty: all. Operations elsewhere are refused.'),
  omitNamespaces: list('Namespaces that the account does not cover.'),
  kinds: list('Kinds to cache, "Deployment" or "Certificate.cert-manager.io"; empty: all that the gateway wants.'),
  omitKinds: list('Kinds not to cache.'),
  customResourceDefinitions: Type.Array(
    section({
      kind: Type.String({ description: 'Kind, or kind and group: "Certificate.cert-manager.io".', minLength: 1 }),
    }),
    { description: 'Custom resources to cache beside `kinds`.', default: [] },
  ),
  onlyNamespacedResources: flag('Cover nothing that is in no namespace.', false),
  onlySpinnakerManaged: flag('Cache only what carries the label app.kubernetes.io/managed-by: spinnaker.', false),
  permissions: Type.Union([groups, Type.Array(groups)], {
    description:
      'Groups of Spinnaker by authorization, `{READ: [...], WRITE: [...]}` or a list of such. Passed on as a property of the account, for Spinnaker to check; the gateway itself goes by `server.auth`.',
    default: {},
    expected: 'READ and WRITE, each with a list of groups whose names have no white space',
  }),
});

export const agentSchema = section({
  agentId: optionalText('Unique name of this agent process. Default: POD_NAME, or else the host name.'),
  zoneId: optionalText('Zone of the agent. Default: DEPLOYMENT_NAME_POD_NAMESPACE, or else the agent’s id.'),
  clouddriver: section({
    grpc: text(
      'Where gateways are dialled: HOST:PORT, several by commas; `https://HOST` is accepted with TLS.',
      'spin-clouddriver-grpc:9091',
    ),
    insecure: flag('Dial without TLS.', true),
    noProxy: flag('Dial gateways directly, whatever HTTPS_PROXY and NO_PROXY say.', false),
    keepAliveHeartbeatSeconds: count('An HTTP/2 PING after this many seconds; 0: none.', 20, 0, 3_600),
    keepAliveTimeOutSeconds: count(
      'The connection is dead when a PING is not answered for so long; 0: the default of gRPC, 20.',
      20,
      0,
      3_600,
    ),
    backoff: section({
      baseDelay: count('First pause between two dials, in nanoseconds.', 1_000_000_000, 1_000_000, 3_600_000_000_000),
      multiplier: Type.Number({ description: 'Growth of the pause.', default: 1.6, minimum: 1, maximum: 10 }),
      jitter: Type.Number({ description: 'Part of the pause that is random.', default: 0.2, minimum: 0, maximum: 1 }),
      maxDelay: count('Longest pause, in nanoseconds.', 120_000_000_000, 1_000_000, 3_600_000_000_000),
    }),
    auth: section({
      token: secret(
        'Bearer token that the agent shows the gateway; with clouddriver.insecure it travels in cleartext.',
      ),
      tokenFile: path('File with the token; read anew at each dial (a projected service account token).'),
      tokenCommand: section({
        command: optionalText('Program that prints the token, or an ExecCredential of client-go.'),
        args: list('Its arguments, as they are written.', [], { verbatim: true }),
        format: Type.Enum(['', 'raw', 'json'], {
          description: 'What it prints: the token itself (raw), or JSON with it; empty: JSON where it begins with {.',
          default: '',
        }),
        refreshIntervalSeconds: count('Runs it again after so long; 0: before each dial.', 0, 0, 86_400),
      }),
    }),
    tls: section({
      serverName: optionalText('Name to expect in the gateway’s certificate. Default: the host that is dialled.'),
      insecureSkipVerify: flag('Do not verify the gateway’s certificate.', false),
      cacertFile: path('PEM file of the authorities to trust. Default: those of Node.js. Read at each dial.'),
      clientCertFile: path('PEM file of the agent’s certificate and chain. Read at each dial.'),
      clientKeyFile: path('PEM file of its private key. Default: the key in clientCertFile. Read at each dial.'),
      clientKeyFilePassword: secret('Password of the private key.'),
    }),
  }),
  dynamicAccounts: section({
    enabled: flag('Take accounts that the gateway asks for.', false),
  }),
  kubernetes: section({
    accounts: Type.Array(accountSchema, { description: 'The accounts that this agent serves.', default: [] }),
    noProxy: flag(
      'Reach API servers directly, whatever HTTPS_PROXY, HTTP_PROXY, NO_PROXY and the proxy-url of kubeconfigs say.',
      false,
    ),
    requestTimeoutMs: count('How long one answer of an API server may take.', 30_000, 1_000, 600_000),
    reconnectTimeoutMs: count('First pause before a watch that failed is begun again.', 5_000, 10, 600_000),
    serverSideApply: section({
      enabled: Type.Enum(['allowed', 'never'], {
        description: 'Whether manifests are applied by the server where an operation does not say how.',
        default: 'allowed',
      }),
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
    totalBudget: count('Lists of API servers at the same time; 0: no limit.', 20, 0, 10_000),
    budgetPerAccount: count('Of one account; 0: no limit.', 5, 0, 10_000),
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
      description: 'Least level. `warning` is accepted for warn, `panic` for fatal.',
      default: 'info',
      synonyms: { warning: 'warn', panic: 'fatal' },
    }),
    format: Type.Enum(['text', 'json'], { description: 'Lines for people, or JSON.', default: 'text' }),
    file: path('File to write to. Default: standard output.'),
    fields: Type.Unsafe<Record<string, string>>(
      Type.Object({}, { description: 'Fields of every line.', default: {}, additionalProperties: { type: 'string' } }),
    ),
  }),
  timeoutSeconds: count('Deadline of operations that carry none; 0: 30.', 0, 0, 86_400),
});

export type AgentConfiguration = Static<typeof agentSchema>;
export type AccountConfiguration = AgentConfiguration['kubernetes']['accounts'][number];
