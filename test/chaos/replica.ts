/** A replica of the gateway that keeps its ports over restarts; every way to and from it leads through a proxy. */

import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../free-port.js';
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.js';
import { waitFor } from '../wait.js';
import type { HistoryWriter } from './history.js';
import { NodeProcess } from './node-process.js';

/** Configuration keys and their values. */
export type Settings = Readonly<Record<string, string | number>>;

export interface ReplicaOptions {
  readonly id: string;
  readonly build: string;
  readonly directory: string;
  readonly history: HistoryWriter;
  readonly databasePort: number;
  /** Path of the database URL. */
  readonly databaseName: string;
  readonly redisPort: number;
  readonly settings: Settings;
  /** Its clock is ahead by so much, in ms. */
  readonly skewMs?: number;
  /** Past the proxies, where times are measured and nothing is cut. */
  readonly direct?: boolean;
}

/** What a replica holds after a full garbage collection. */
export interface Holdings {
  readonly heapBytes: number;
  /** Open descriptors by what they are: connections by where they lead, and what is none. */
  readonly descriptors: ReadonlyMap<string, number>;
  /** What Node.js keeps the process alive for, by kind: timers, sockets and so on. */
  readonly resources: Readonly<Record<string, number>>;
}

export interface ReplicaProxies {
  readonly database: TcpProxy;
  readonly redis: TcpProxy;
  /** In front of REST, for the other replicas; callers ask it directly. */
  readonly peers: TcpProxy;
  readonly agents: TcpProxy;
}

export class ChaosReplica {
  readonly id: string;
  readonly restUrl: string;
  readonly proxies: ReplicaProxies;
  readonly #options: ReplicaOptions;
  readonly #ports: { readonly rest: number; readonly agents: number };
  #process: NodeProcess | undefined;
  #ended = false;
  #probed: ((line: string) => void) | undefined;

  private constructor(options: ReplicaOptions, ports: { rest: number; agents: number }, proxies: ReplicaProxies) {
    this.id = options.id;
    this.#options = options;
    this.#ports = ports;
    this.proxies = proxies;
    this.restUrl = `http://127.0.0.1:${ports.rest}`;
  }

  /** Makes its proxies; start() starts the process. */
  static async create(options: ReplicaOptions): Promise<ChaosReplica> {
    const ports = { rest: await freePort(), agents: await freePort() };
    const started = await Promise.allSettled(
      [options.databasePort, options.redisPort, ports.rest, ports.agents].map((port) => startTcpProxy({ port })),
    );
    const proxies = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const [database, redis, peers, agents] = proxies;
    if (database === undefined || redis === undefined || peers === undefined || agents === undefined) {
      await Promise.all(proxies.map((proxy) => proxy.close()));
      throw new Error(`proxies of ${options.id} not started`, { cause: started });
    }
    return new ChaosReplica(options, ports, { database, redis, peers, agents });
  }

  get process(): NodeProcess {
    if (this.#process === undefined) throw new Error(`${this.id} was not started`);
    return this.#process;
  }

  /** Whether it was started, and is to run again after it was killed. */
  get wanted(): boolean {
    return this.#process !== undefined;
  }

  get running(): boolean {
    return this.#process?.running ?? false;
  }

  /** Where agents dial. */
  get agentsAddress(): string {
    return `127.0.0.1:${this.#options.direct === true ? this.#ports.agents : this.proxies.agents.port}`;
  }

  /** @throws Error after end(): a fault that is still under way must not start it again */
  start(): void {
    if (this.#ended) throw new Error(`${this.id} has ended`);
    const { id, build, directory, history, databaseName, settings, skewMs = 0, direct = false } = this.#options;
    const { database, redis, peers } = direct
      ? {
          database: { port: this.#options.databasePort },
          redis: { port: this.#options.redisPort },
          peers: { port: this.#ports.rest },
        }
      : this.proxies;
    const all: Settings = {
      'instance.id': id,
      'instance.baseUrl': `http://127.0.0.1:${peers.port}`,
      'server.address': '127.0.0.1',
      'server.port': this.#ports.rest,
      'kubesvc.grpc.server.address': '127.0.0.1',
      'kubesvc.grpc.server.port': this.#ports.agents,
      'kubesvc.cluster': 'redis',
      'kubesvc.drain.endpointRemovalMs': 0,
      'sql.url': `mysql://root@127.0.0.1:${database.port}/${databaseName}`,
      'redis.connection': `redis://127.0.0.1:${redis.port}`,
      'logging.format': 'json',
      ...settings,
    };
    const skew = skewMs === 0 ? [] : [`--import=${skewedClock(skewMs)}`];
    const flags = Object.entries(all).map(([key, value]) => `--${key}=${value}`);
    this.#process = new NodeProcess({
      name: id,
      history,
      directory,
      cwd: build,
      args: ['--trace-warnings', `--import=${module(probe)}`, ...skew, join(build, 'src/main.ts'), 'serve', ...flags],
      onLine: (line) => this.#probed?.(line),
    });
  }

  /** @throws Error when it ends instead, or is not ready in time */
  async ready(timeoutMs: number): Promise<void> {
    const { process } = this;
    await waitFor(
      async () => {
        if (!process.running) return true;
        return (await fetch(`${this.restUrl}/readyz`, { signal: AbortSignal.timeout(2_000) })).ok;
      },
      { timeoutMs, intervalMs: 100, description: `${this.id} to be ready (see its log)` },
    );
    if (!process.running) throw new Error(`${this.id} ended with ${String(process.exitCode)}: ${process.errors}`);
  }

  /** Instances that it takes for ready members. */
  async members(): Promise<number> {
    const response = await fetch(`${this.restUrl}/armory/clouddrivers`, { signal: AbortSignal.timeout(2_000) });
    return ((await response.json()) as { ready: boolean }[]).filter(({ ready }) => ready).length;
  }

  /** Kinds of its connections by their port, and of those that others make to it. */
  get ports(): readonly (readonly [port: number, kind: string])[] {
    const { database, redis, peers } = this.proxies;
    const own = [[this.#ports.rest, 'REST'] as const, [this.#ports.agents, 'agents'] as const];
    return [...own, [database.port, 'database'], [redis.port, 'Redis'], [peers.port, 'peers']];
  }

  /**
   * Collects its garbage and counts what is left.
   * @param ports of all replicas
   */
  async holdings(ports: ReadonlyMap<number, string>): Promise<Holdings> {
    const counted = new Promise<string>((resolve) => {
      this.#probed = (line) => {
        if (line.startsWith(probeMark)) resolve(line.slice(probeMark.length));
      };
    });
    const descriptors = await this.process.descriptors(ports);
    this.process.signal('SIGUSR2');
    const line = await Promise.race([counted, delay(10_000, undefined, { ref: false })]);
    this.#probed = undefined;
    if (line === undefined) throw new Error(`${this.id} does not answer SIGUSR2`);
    return { descriptors, ...(JSON.parse(line) as Omit<Holdings, 'descriptors'>) };
  }

  async heal(): Promise<void> {
    for (const proxy of Object.values(this.proxies) as TcpProxy[]) {
      proxy.delay(0);
      await proxy.heal();
    }
  }

  async end(): Promise<void> {
    this.#ended = true;
    this.#process?.thaw();
    await this.#process?.kill();
    for (const proxy of Object.values(this.proxies) as TcpProxy[]) await proxy.close();
  }
}

const probeMark = 'probe ';

/** On SIGUSR2 it collects garbage and says what is left. */
const probe = `
  import { setFlagsFromString } from 'node:v8';
  import { runInNewContext } from 'node:vm';
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc');
  process.on('SIGUSR2', () => {
    gc();
    const resources = {};
    for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
    process.stdout.write('${probeMark}' + JSON.stringify({ heapBytes: process.memoryUsage().heapUsed, resources }) + '\\n');
  });`;

/** A module that moves the process's wall clock, and leaves the monotonic one alone. */
function skewedClock(ms: number): string {
  return module(`
    const { now } = Date;
    globalThis.Date = class extends Date {
      constructor(...args) { super(...(args.length === 0 ? [now() + ${ms}] : args)); }
      static now() { return now() + ${ms}; }
    };`);
}

function module(code: string): string {
  return `data:text/javascript,${encodeURIComponent(code)}`;
}
