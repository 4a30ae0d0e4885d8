/** The flags of `agent-gateway simulate`, and the rules that several of them have together. */

import {
  choice,
  decimal,
  file,
  largest,
  repeated,
  text,
  toggle,
  url,
  whole,
  type Flag,
  type FlagValues,
} from '../command-line/flags.js';
import { UsageError } from '../command-line/usage-error.js';
import { isRequestKind, requestKinds, type RequestKind } from './request-kinds.js';

const numbered = (help: string, bounds = {}, value = 'N') => whole(bounds, { value, help });
const measured = (value: string, help: string, bounds = {}) => decimal(bounds, { value, help });

const hostPort: Flag<string> = {
  value: 'HOST:PORT',
  help: 'gRPC address of a gateway; repeat it for several (default 127.0.0.1:9091)',
  expected: 'HOST:PORT, as in 127.0.0.1:9091',
  read: (given) => {
    const port = Number(/^(?:[^\s/:]+|\[[0-9A-Fa-f:.]+\]):(\d+)$/u.exec(given)?.[1]);
    return port >= 1 && port <= 65_535 ? given : undefined;
  },
};

const kinds: Flag<readonly RequestKind[]> = {
  value: 'LIST',
  help: `kinds of requests to send, from ${requestKinds.join(',')} (default get)`,
  expected: `of ${requestKinds.join(', ')}`,
  read: (given) => {
    const names = given.split(',').map((name) => name.trim());
    return names.every((name) => isRequestKind(name)) ? names : undefined;
  },
};

const pattern: Flag<RegExp> = {
  value: 'RE',
  help: 'like --dynamic, but accounts whose names match this regular expression fail',
  expected: 'a regular expression',
  read: (given) => {
    try {
      return new RegExp(given, 'u');
    } catch {
      return undefined;
    }
  },
};

const agentFlags = {
  accounts: numbered('accounts of each agent, named sim-<agent>-<account> (default 2)'),
  dynamic: toggle('agents also serve dynamic accounts (docs/dynamic-accounts.md)'),
  'dynamic-failing': pattern,
  zone: text('a name', { value: 'ID', help: 'zone of the agents (default simulated_default)' }),
  gateway: repeated(hostPort),
  latency: measured('MS', 'time that an agent takes for one operation (default 20)'),
  jitter: measured('MS', 'the latency varies by up to this much (default 0)'),
  'failure-rate': measured('F', 'share of operations that fail, 0 to 1 (default 0)', { maximum: 1 }),
  'result-size': numbered('minimum size of objects and logs in results (default 0)', {}, 'BYTES'),
  objects: numbered('objects in the cluster of each account (default 0)', { maximum: 10_000_000 }),
  'object-bytes': numbered('minimum size of each object (default 0)', { maximum: 1_500_000 }, 'BYTES'),
  'change-rate': measured('N', 'changes per second in each cluster (default 0)', { maximum: 1_000_000 }),
  changes: numbered('each cluster stops changing after N changes (default: it never stops)'),
  'agents-token-file': file({ help: 'file with the bearer token of the agents' }),
  'agents-tls': toggle('agents connect with TLS (the load does if --rest is https)'),
};

const loadStarts = {
  operations: numbered('end after N operations', { minimum: 1 }),
  duration: measured('SECONDS', 'end after this time', { maximum: 1_000_000 }),
  concurrency: numbered('closed loop: N operations in flight (default 10)', { minimum: 1, maximum: 100_000 }),
  rate: measured('N', 'open loop: N operations per second', { minimum: 0.001, maximum: 1_000_000 }),
};

const loadFlags = {
  account: repeated(
    text('the name of an account', {
      value: 'NAME',
      completes: 'accounts',
      help: 'send to this account instead of the simulated ones; repeat it for several',
    }),
  ),
  kinds,
  wait: numbered(
    'time that the gateway waits for each result; 0: it does not wait (default 10)',
    { maximum: 3_600 },
    'SECONDS',
  ),
  payload: numbered('size of manifests and patches (default 0)', {}, 'BYTES'),
  'ready-timeout': measured('SECONDS', 'time that agents have to connect before the load starts (default 30)', {
    maximum: 1_000_000,
  }),
  'token-file': file({
    help: 'file with the bearer token of the load (default $AGENT_GATEWAY_TOKEN_FILE, or the token itself in $AGENT_GATEWAY_TOKEN)',
  }),
};

export const simulateFlags = {
  agents: numbered('simulated agents, named sim-agent-0 and so on (default 3; 0: only the load, with --account)'),
  ...agentFlags,
  seed: numbered('the same seed gives the same latencies, answers, objects and requests (default 1)', {
    minimum: -largest - 1,
  }),
  ...loadStarts,
  ...loadFlags,
  rest: repeated(url({ help: 'base URL of the REST API; repeat it for several (default http://127.0.0.1:7002)' })),
  cacert: file({ help: 'PEM file with the CAs that agents and load trust (docs/security.md)' }),
  cert: file({ help: 'PEM file with the client certificate of both; needs --key' }),
  key: file({ help: 'PEM file with its private key' }),
  output: choice(['text', 'json'], { value: 'FORM', help: 'form of the report: text or json (default text)' }),
  help: toggle('print this help', 'h'),
};

export const simulateSummary = `Run simulated agents against a gateway, and optionally a load of operations.
Without a load, the agents stay connected until Ctrl-C. Any of ${named(loadStarts)} starts a load.`;

export const simulateExitCodes =
  'Exit code: 0 done or stopped; 1 the gateway could not be reached for the load; 2 a flag is wrong.';

export type SimulateValues = FlagValues<typeof simulateFlags>;

export interface SimulateFlags {
  readonly agents: number;
  readonly accounts: number;
  readonly gateways: readonly string[];
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly failureRate: number;
  readonly resultBytes: number;
  readonly seed: number;
  /** Undefined: they take no dynamic accounts. */
  readonly dynamic?: { readonly failing?: RegExp };
  readonly zoneId?: string;
  readonly objects: number;
  readonly objectBytes: number;
  readonly changeRate: number;
  /** Infinity: without end. */
  readonly changes: number;
  readonly restUrls: readonly string[];
  /** Names of files. */
  readonly credentialFiles: Readonly<Record<'token-file' | 'cacert' | 'cert' | 'key', string | undefined>>;
  readonly agentsTokenFile: string | undefined;
  readonly agentsTls: boolean;
  readonly output: 'text' | 'json';
  /** Undefined: no load, only agents. */
  readonly load: LoadFlags | undefined;
}

export interface LoadFlags {
  readonly operations: number | undefined;
  readonly durationMs: number | undefined;
  readonly concurrency: number | undefined;
  readonly rate: number | undefined;
  /** Empty: the simulated ones. */
  readonly accounts: readonly string[];
  readonly kinds: readonly RequestKind[];
  readonly waitSeconds: number;
  readonly payloadBytes: number;
  readonly readyTimeoutMs: number;
}

/** @throws UsageError for flags that have no effect, or contradict each other */
export function readSimulateFlags(values: SimulateValues): SimulateFlags {
  const restUrls = values.rest ?? ['http://127.0.0.1:7002'];
  const flags: SimulateFlags = {
    agents: values.agents ?? 3,
    accounts: values.accounts ?? 2,
    gateways: values.gateway ?? ['127.0.0.1:9091'],
    latencyMs: values.latency ?? 20,
    jitterMs: values.jitter ?? 0,
    failureRate: values['failure-rate'] ?? 0,
    resultBytes: values['result-size'] ?? 0,
    seed: values.seed ?? 1,
    ...readDynamic(values),
    ...(values.zone === undefined ? {} : { zoneId: values.zone }),
    objects: values.objects ?? 0,
    objectBytes: values['object-bytes'] ?? 0,
    changeRate: values['change-rate'] ?? 0,
    changes: values.changes ?? Number.POSITIVE_INFINITY,
    restUrls,
    credentialFiles: {
      'token-file': values['token-file'],
      cacert: values.cacert,
      cert: values.cert,
      key: values.key,
    },
    agentsTokenFile: values['agents-token-file'],
    agentsTls: values['agents-tls'] ?? false,
    output: values.output ?? 'text',
    load: readLoad(values),
  };
  const { agents, load } = flags;
  if (agents === 0 && load === undefined) throw new UsageError('--agents must be 1 or more where there is no load');
  if (load?.accounts.length === 0 && agents * flags.accounts === 0)
    throw new UsageError('--account must name an account to send to, because no agent has one');
  if (load === undefined) refuse(values, loadFlags, `needs a load: ${named(loadStarts)}`);
  if (agents === 0) refuse(values, agentFlags, 'needs agents, and --agents is 0');
  if (flags.objects === 0) refuse(values, { 'object-bytes': 0, 'change-rate': 0, changes: 0 }, 'needs --objects');
  if (flags.changeRate === 0) refuse(values, { changes: 0 }, 'needs --change-rate');
  const isSecure = flags.agentsTls || restUrls.some((one) => one.startsWith('https:'));
  if (!isSecure && (values.cert === undefined) === (values.key === undefined))
    refuse(values, { cacert: 0, cert: 0 }, 'needs --agents-tls, or a --rest that is https');
  return flags;
}

/** @throws UsageError for the first of some flags that was given */
function refuse(values: SimulateValues, some: Readonly<Record<string, unknown>>, why: string): void {
  const given = Object.entries(values).find(([name, value]) => value !== undefined && Object.hasOwn(some, name));
  if (given !== undefined) throw new UsageError(`--${given[0]} ${why}`);
}

function named(flags: Readonly<Record<string, unknown>>): string {
  return Object.keys(flags)
    .map((name) => `--${name}`)
    .join(', ');
}

function readLoad(values: SimulateValues): LoadFlags | undefined {
  const { operations, duration, concurrency, rate } = values;
  if ([operations, duration, concurrency, rate].every((value) => value === undefined)) return undefined;
  if (concurrency !== undefined && rate !== undefined)
    throw new UsageError('--rate and --concurrency exclude each other');
  return {
    operations,
    concurrency,
    rate,
    durationMs: duration === undefined ? undefined : duration * 1_000,
    accounts: values.account ?? [],
    kinds: values.kinds ?? ['get'],
    waitSeconds: values.wait ?? 10,
    payloadBytes: values.payload ?? 0,
    readyTimeoutMs: (values['ready-timeout'] ?? 30) * 1_000,
  };
}

function readDynamic({ dynamic, 'dynamic-failing': failing }: SimulateValues): Pick<SimulateFlags, 'dynamic'> {
  if (failing !== undefined) return { dynamic: { failing } };
  return dynamic === true ? { dynamic: {} } : {};
}
