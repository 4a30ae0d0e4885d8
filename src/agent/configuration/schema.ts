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
  name: Type.String({ description: 'Name of the account. Must be unique in the cluster of gateways.', minLength: 1 }),
  serviceAccount: flag('Use the cluster that the agent runs in, with the service account of its pod.', false),
  kubeConfigFile: path(
    'Kubeconfig file of the cluster. Reloaded every five minutes, and when the API server refuses its credentials.',
  ),
  context: optionalText('Context of the kubeconfig. Default: its current context.'),
  insecure: flag("Do not verify the API server's certificate.", false),
  noProxy: flag('Like kubernetes.noProxy, for this account only.', false),
  namespaces: list('Namespaces of the account; empty: all. Operations in other namespaces are refused.'),
  omitNamespaces: list('Namespaces to exclude from the account.'),
  kinds: list(
    'Kinds to cache, such as "Deployment" or "Certificate.cert-manager.io"; empty: all kinds that the gateway asks for.',
  ),
  omitKinds: list('Kinds not to cache.'),
  customResourceDefinitions: Type.Array(
    section({
      kind: Type.String({ description: 'Kind, or kind and API group: "Certificate.cert-manager.io".', minLength: 1 }),
    }),
    { description: 'Custom resources to cache in addition to `kinds`.', default: [] },
  ),
  onlyNamespacedResources: flag('Exclude cluster-scoped resources from the account.', false),
  apiAccess: Type.Enum(['off', 'read', 'full'], {
    description:
      'What callers of the gateway may do with the Kubernetes API of the account, if its rules allow it as well: `read` is get, list and watch without Secrets, exec and proxies.',
    default: 'off',
  }),
  onlySpinnakerManaged: flag('Cache only objects with the label app.kubernetes.io/managed-by: spinnaker.', false),
  permissions: Type.Union([groups, Type.Array(groups)], {
    description:
      'Spinnaker groups by permission: `{READ: [...], WRITE: [...]}`, or a list of these. Passed on as a property of the account, for Spinnaker to check. The gateway itself checks `server.auth` instead.',
    default: {},
    expected: 'READ and WRITE, each with a list of groups whose names have no white space',
  }),
});

export const agentSchema = section({
  agentId: optionalText('Unique name of this agent process. Default: POD_NAME, or else the host name.'),
  zoneId: optionalText('Zone of the agent. Default: DEPLOYMENT_NAME_POD_NAMESPACE, or else the agent’s id.'),
  clouddriver: section({
    grpc: text(
      'Address of the gateways: HOST:PORT, or several, separated by commas. With TLS, `https://HOST` is accepted too.',
      'spin-clouddriver-grpc:9091',
    ),
    insecure: flag('Connect without TLS.', true),
    noProxy: flag('Connect to the gateways directly, ignoring HTTPS_PROXY and NO_PROXY.', false),
    keepAliveHeartbeatSeconds: count('Seconds between HTTP/2 keepalive pings; 0: no pings.', 20, 0, 3_600),
    keepAliveTimeOutSeconds: count(
      'Seconds to wait for the answer to a keepalive ping before the connection is closed; 0: the default of gRPC, 20.',
      20,
      0,
      3_600,
    ),
    backoff: section({
      baseDelay: count(
        'First pause between two connection attempts, in nanoseconds.',
        1_000_000_000,
        1_000_000,
        3_600_000_000_000,
      ),
      multiplier: Type.Number({
        description: 'Factor by which the pause grows.',
        default: 1.6,
        minimum: 1,
        maximum: 10,
      }),
      jitter: Type.Number({
        description: 'Random share of the pause, from 0 to 1.',
        default: 0.2,
        minimum: 0,
        maximum: 1,
      }),
      maxDelay: count('Longest pause, in nanoseconds.', 120_000_000_000, 1_000_000, 3_600_000_000_000),
    }),
    auth: section({
      token: secret(
        'Bearer token that the agent sends to the gateway. With clouddriver.insecure it is sent in cleartext.',
      ),
      tokenFile: path(
        'File with the token, such as a projected service account token. Read at each connection attempt.',
      ),
      tokenCommand: section({
        command: optionalText('Program that prints the token, or a client-go ExecCredential.'),
        args: list('Arguments of the program, passed on as written.', [], { verbatim: true }),
        format: Type.Enum(['', 'raw', 'json'], {
          description:
            'Output of the program: the token itself (raw), or JSON that contains it (json); empty: JSON if the output begins with {, else raw.',
          default: '',
        }),
        refreshIntervalSeconds: count(
          'Seconds between two runs of the program; 0: run it at each connection attempt.',
          0,
          0,
          86_400,
        ),
      }),
    }),
    tls: section({
      serverName: optionalText('Name to expect in the gateway’s certificate. Default: the host in clouddriver.grpc.'),
      insecureSkipVerify: flag('Do not verify the gateway’s certificate.', false),
      cacertFile: path('PEM file with the CAs to trust. Default: those of Node.js. Read at each connection attempt.'),
      clientCertFile: path('PEM file with the agent’s certificate and its chain. Read at each connection attempt.'),
      clientKeyFile: path(
        'PEM file with the private key of the certificate. Default: the key in clientCertFile. Read at each connection attempt.',
      ),
      clientKeyFilePassword: secret('Password of the private key.'),
    }),
  }),
  dynamicAccounts: section({
    enabled: flag('Serve accounts that the gateway assigns.', false),
  }),
  kubernetes: section({
    accounts: Type.Array(accountSchema, { description: 'The accounts that this agent serves.', default: [] }),
    noProxy: flag(
      'Connect to API servers directly, ignoring HTTPS_PROXY, HTTP_PROXY, NO_PROXY and the proxy-url of kubeconfigs.',
      false,
    ),
    requestTimeoutMs: count('Time that an API server may take to answer one request.', 30_000, 1_000, 600_000),
    reconnectTimeoutMs: count('First pause before a failed watch is restarted.', 5_000, 10, 600_000),
    serverSideApply: section({
      enabled: Type.Enum(['allowed', 'never'], {
        description: 'Whether to use server-side apply if an operation does not choose how to apply a manifest.',
        default: 'allowed',
      }),
    }),
    retries: section({
      enabled: flag('Retry a failed request to an API server if it is safe to repeat.', true),
      maxRetries: count('Retries after the first attempt.', 3, 0, 100),
      backOffMs: count(
        'First pause between two attempts, in milliseconds. A Retry-After of the server takes precedence.',
        3_000,
        0,
        600_000,
      ),
      retryAnyError: flag('Retry after any response with a status of 500 or above.', false),
      retryableErrors: list(
        'Retry after a response of 500 or above with one of these statuses (`500`) or reasons (`InternalError`). `timeout` and `deadline exceeded` stand for the reasons `Timeout` and `ServerTimeout`. Message texts are not compared.',
        ['timeout', 'deadline exceeded'],
      ),
    }),
  }),
  tasks: section({
    totalBudget: count('Concurrent list requests to API servers; 0: no limit.', 20, 0, 10_000),
    budgetPerAccount: count('Concurrent list requests of one account; 0: no limit.', 5, 0, 10_000),
    maxOperations: count('Operations that are executed concurrently.', 100, 1, 10_000),
    drainSeconds: count('Seconds that running operations have to finish when the agent stops.', 20, 0, 3_600),
  }),
  server: section({
    host: text('Address of /health and /readyz. In a pod, set 0.0.0.0.', 'localhost'),
    port: count('Port of /health and /readyz; 0: do not serve them.', 8_082, 0, 65_535),
  }),
  prometheus: section({
    enabled: flag('Serve /metrics.', false),
    port: count('Port of /metrics, on server.host.', 8_008, 1, 65_535),
  }),
  logging: section({
    level: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], {
      description: 'Lowest level that is logged. `warning` is accepted for warn, `panic` for fatal.',
      default: 'info',
      synonyms: { warning: 'warn', panic: 'fatal' },
    }),
    format: Type.Enum(['text', 'json'], {
      description: '`text`: lines for people; `json`: one object per line.',
      default: 'text',
    }),
    file: path('File to write the log to. Default: standard output.'),
    fields: Type.Unsafe<Record<string, string>>(
      Type.Object(
        {},
        { description: 'Fields to add to every line.', default: {}, additionalProperties: { type: 'string' } },
      ),
    ),
  }),
  timeoutSeconds: count('Deadline, in seconds, of operations without one; 0: 30 seconds.', 0, 0, 86_400),
});

export type AgentConfiguration = Static<typeof agentSchema>;
export type AccountConfiguration = AgentConfiguration['kubernetes']['accounts'][number];
