/** The flags of `agent-gateway simulate`: parsing, checks that name the flag, and the help text. */

import { parseArgs } from 'node:util';
import { GatewayError, messageOf } from '../core/errors.js';
import { isRequestKind, requestKinds, type RequestKind } from './request-kinds.js';

export const simulateHelp = `Usage: agent-gateway simulate [FLAGS]

Runs simulated agents against a gateway, and optionally a load of operations. Without a load flag the agents stay
connected until Ctrl-C.

Agents
  --agents N            simulated agents, sim-agent-0 ... (default 3; 0: load only, with --account)
  --accounts N          accounts of each agent, sim-<agent>-<account> (default 2)
  --dynamic             take dynamic accounts (docs/dynamic-accounts.md) beside their own
  --dynamic-failing RE  as --dynamic, but accounts whose names match this regular expression cannot be served
  --zone ID             zone of the agents (default simulated_default)
  --gateway HOST:PORT   gRPC address of a gateway; repeat it for several (default 127.0.0.1:9091)
  --latency MS          time that an agent takes for an operation (default 20)
  --jitter MS           the time varies by up to this much (default 0)
  --failure-rate F      part of the operations that fail, 0 to 1 (default 0)
  --result-size BYTES   least size of objects and logs in results (default 0)
  --seed N              the same seed gives the same latencies, answers, objects and requests (default 1)

Cached objects (sent by agents that are told to cache an account)
  --objects N           objects in the cluster of each account (default 0)
  --object-bytes BYTES  least size of each (default 0)
  --change-rate N       changes of each cluster per second (default 0)
  --changes N           a cluster rests after so many changes (default: it does not)

Load (any of the first four starts one)
  --operations N        end after N operations
  --duration SECONDS    end after this time
  --concurrency N       closed loop: N operations in flight (default 10)
  --rate N              open loop: N operations per second
  --rest URL            base URL of REST; repeat it for several (default http://127.0.0.1:7002)
  --account NAME        send to this account instead of the simulated ones; may be repeated
  --kinds LIST          requests to send, of ${requestKinds.join(',')} (default get)
  --wait SECONDS        how long the gateway waits for each result; 0: do not wait (default 10)
  --payload BYTES       size of manifests and patches (default 0)
  --ready-timeout SECONDS  how long the agents have to connect before the load starts (default 30)

Who it is (docs/security.md)
  --token-file FILE     bearer token of the load; without it AGENT_GATEWAY_TOKEN_FILE or AGENT_GATEWAY_TOKEN
  --agents-token-file FILE  bearer token of the agents
  --agents-tls          agents speak TLS; the load does where --rest is https
  --cacert FILE         authorities that both trust
  --cert FILE           certificate that both show, with --key FILE

  --output text|json    form of the report on standard output (default text)
  --help

Exit code: 0 done or stopped; 1 the gateway could not be reached for the load; 2 a flag is wrong.
`;

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
  /** By the name of a flag: token-file (of the load), cacert, cert, key. */
  readonly credentialFiles: Readonly<Record<string, string | undefined>>;
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

/**
 * @returns undefined when help is asked for
 * @throws GatewayError `configuration`, naming the flag
 */
export function parseSimulateFlags(argv: readonly string[]): SimulateFlags | undefined {
  const values = parse(argv);
  if (values.help === true) return undefined;
  const number = (flag: NumberFlag, fallback: number, bounds: Bounds = {}): number =>
    readNumber(flag, values[flag], bounds) ?? fallback;
  const flags: SimulateFlags = {
    agents: number('agents', 3, whole),
    accounts: number('accounts', 2, whole),
    gateways: values.gateway?.map(readHostPort) ?? ['127.0.0.1:9091'],
    latencyMs: number('latency', 20),
    jitterMs: number('jitter', 0),
    failureRate: number('failure-rate', 0, { maximum: 1 }),
    resultBytes: number('result-size', 0, whole),
    seed: number('seed', 1, { ...whole, minimum: -(2 ** 31) }),
    ...readDynamic(values),
    ...(values.zone === undefined ? {} : { zoneId: values.zone }),
    objects: number('objects', 0, { ...whole, maximum: 10_000_000 }),
    objectBytes: number('object-bytes', 0, { ...whole, maximum: 1_500_000 }),
    changeRate: number('change-rate', 0, { maximum: 1_000_000 }),
    changes: number('changes', Number.POSITIVE_INFINITY, whole),
    restUrls: values.rest?.map(readUrl) ?? ['http://127.0.0.1:7002'],
    credentialFiles: {
      'token-file': values['token-file'],
      cacert: values.cacert,
      cert: values.cert,
      key: values.key,
    },
    agentsTokenFile: values['agents-token-file'],
    agentsTls: values['agents-tls'] === true,
    output: readOutput(values.output),
    load: readLoad(values),
  };
  if (flags.agents === 0 && flags.load === undefined) throw wrong('agents', 'must be 1 or more where there is no load');
  if (flags.load?.accounts.length === 0 && flags.agents * flags.accounts === 0) {
    throw wrong('account', 'must name an account to send to, because no agent has one');
  }
  return flags;
}

const text = { type: 'string' } as const;
const list = { type: 'string', multiple: true } as const;
const numberFlags = {
  agents: text,
  accounts: text,
  latency: text,
  jitter: text,
  'failure-rate': text,
  'result-size': text,
  seed: text,
  objects: text,
  'object-bytes': text,
  'change-rate': text,
  changes: text,
  operations: text,
  duration: text,
  concurrency: text,
  rate: text,
  wait: text,
  payload: text,
  'ready-timeout': text,
};
type NumberFlag = keyof typeof numberFlags;

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        ...numberFlags,
        gateway: list,
        rest: list,
        account: list,
        dynamic: { type: 'boolean' },
        'dynamic-failing': text,
        zone: text,
        kinds: text,
        'token-file': text,
        'agents-token-file': text,
        'agents-tls': { type: 'boolean' },
        cacert: text,
        cert: text,
        key: text,
        output: text,
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new GatewayError('configuration', messageOf(error).split('. ')[0] ?? '', { cause: error });
  }
}

type Values = ReturnType<typeof parse>;

function readLoad(values: Values): LoadFlags | undefined {
  const { operations, duration, concurrency, rate, kinds = 'get', account = [] } = values;
  if ([operations, duration, concurrency, rate].every((value) => value === undefined)) return undefined;
  if (concurrency !== undefined && rate !== undefined) throw wrong('rate', 'and --concurrency exclude each other');
  const seconds = (flag: NumberFlag): number | undefined => {
    const value = readNumber(flag, values[flag], { maximum: 1_000_000 });
    return value === undefined ? undefined : value * 1000;
  };
  return {
    operations: readNumber('operations', operations, { ...whole, minimum: 1 }),
    durationMs: seconds('duration'),
    concurrency: readNumber('concurrency', concurrency, { ...whole, minimum: 1, maximum: 100_000 }),
    rate: readNumber('rate', rate, { minimum: 0.001, maximum: 1_000_000 }),
    accounts: account,
    kinds: kinds.split(',').map(readKind),
    waitSeconds: readNumber('wait', values.wait, { ...whole, maximum: 3_600 }) ?? 10,
    payloadBytes: readNumber('payload', values.payload, whole) ?? 0,
    readyTimeoutMs: seconds('ready-timeout') ?? 30_000,
  };
}

function readDynamic(values: Values): Pick<SimulateFlags, 'dynamic'> {
  const pattern = values['dynamic-failing'];
  if (pattern === undefined) return values.dynamic === true ? { dynamic: {} } : {};
  try {
    return { dynamic: { failing: new RegExp(pattern, 'u') } };
  } catch (error) {
    throw wrong('dynamic-failing', `must be a regular expression: ${messageOf(error)}`);
  }
}

interface Bounds {
  readonly minimum?: number;
  readonly maximum?: number;
  readonly integer?: boolean;
}

const whole: Bounds = { integer: true, maximum: 2 ** 31 - 1 };

function readNumber(flag: NumberFlag, value: string | undefined, bounds: Bounds): number | undefined {
  if (value === undefined) return undefined;
  const { minimum = 0, maximum = 2 ** 31 - 1, integer = false } = bounds;
  const number = value.trim() === '' ? Number.NaN : Number(value);
  if (number >= minimum && number <= maximum && (!integer || Number.isInteger(number))) return number;
  throw wrong(flag, `must be a ${integer ? 'whole ' : ''}number from ${minimum} to ${maximum}, not "${value}"`);
}

function readHostPort(value: string): string {
  const port = Number(/^(?:[^\s/:]+|\[[0-9A-Fa-f:.]+\]):(\d+)$/u.exec(value)?.[1]);
  if (port >= 1 && port <= 65_535) return value;
  throw wrong('gateway', `must be HOST:PORT, as in 127.0.0.1:9091, not "${value}"`);
}

function readUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url !== undefined && /^https?:$/u.test(url.protocol)) return url.origin;
  throw wrong('rest', `must be a URL, as in http://127.0.0.1:7002, not "${value}"`);
}

function readKind(value: string): RequestKind {
  const name = value.trim();
  if (isRequestKind(name)) return name;
  throw wrong('kinds', `must be of ${requestKinds.join(', ')}, not "${name}"`);
}

function readOutput(value: string | undefined): 'text' | 'json' {
  if (value === undefined || value === 'text') return 'text';
  if (value === 'json') return 'json';
  throw wrong('output', `must be text or json, not "${value}"`);
}

function wrong(flag: string, message: string): GatewayError {
  return new GatewayError('configuration', `--${flag} ${message}`, { field: `--${flag}` });
}
