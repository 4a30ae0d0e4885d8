/** Starts what is measured: replicas of the built gateway, and the bare stack. Each is a process of its own. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { Agent, request } from 'undici';
import { freePort } from '../test/free-port.js';
import { waitFor } from '../test/wait.js';
import { agentConfiguration } from './agent-configuration.js';
import { Child } from './child.js';

export interface StartedServer {
  readonly child: Child;
  readonly baseUrl: string;
  /** When its process was started, Unix ms with fractions. */
  readonly spawnedAt: number;
  /** From then until it said that it is ready, in ms. */
  readonly readyMs: number;
}

export interface ServerUnderTest extends StartedServer {
  /** `host:port` for agents. */
  readonly agentsAddress: string;
  /** Starts it anew with the same ports, once it has ended. */
  readonly restart: () => Promise<ServerUnderTest>;
}

/** For the probe; the collector is needed where memory is measured, and changes nothing elsewhere. */
const serverOptions = ['--expose-gc', '--import=./bench/probe.js'];
/** Certificates of the bench have no CA. */
const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
const readyTimeoutMs = 120_000;
const readyPollMs = 5;

/** `npm run bench -- --node VERSION` sets it: the program node on which everything runs that is measured. */
export const nodeVariable = 'BENCH_NODE';

function measuredNode(): string {
  return process.env[nodeVariable] ?? process.execPath;
}

/** A new, empty database on a MariaDB server. */
export async function createDatabase(serverUrl: string, name: string): Promise<string> {
  const connection = await createConnection({ uri: serverUrl });
  await connection.query(`create database ${name} character set utf8mb4`);
  await connection.end();
  return `${serverUrl}/${name}`;
}

export interface ReplicasOptions {
  /** What they prove to each other with; absent: nothing. */
  readonly secretFile?: string;
  /** Files with which the REST API speaks TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Whether the sources are run, which takes longer to start, in place of the built program, which may be older. */
  readonly fromSources?: boolean;
  /** Whether agents stay where they are, even if all are at one replica. */
  readonly keepAgents?: boolean;
  /** The program node; default: as `--node` says. */
  readonly node?: string;
}

/** Replicas of one cluster with static discovery. */
export async function startReplicas(
  count: number,
  sqlUrl: string,
  redisUrl: string,
  { secretFile, tls, fromSources = false, keepAgents = false, node = measuredNode() }: ReplicasOptions = {},
): Promise<ServerUnderTest[]> {
  const script = fromSources ? 'src/main.ts' : 'dist/main.js';
  const execArgv = fromSources ? ['--import=tsx', ...serverOptions] : serverOptions;
  const ports = await Promise.all(Array.from({ length: count }, async () => [await freePort(), await freePort()]));
  const scheme = tls === undefined ? 'http' : 'https';
  const baseUrls = ports.map(([rest]) => `${scheme}://127.0.0.1:${String(rest)}`);
  return Promise.all(
    ports.map(([rest = 0, agents = 0], index) =>
      ready({ scheme, rest, agents, node }, script, execArgv, [
        'serve',
        `--instance.id=replica-${index}`,
        `--instance.baseUrl=${scheme}://127.0.0.1:${rest}`,
        '--server.address=127.0.0.1',
        `--server.port=${rest}`,
        '--kubesvc.grpc.server.address=127.0.0.1',
        `--kubesvc.grpc.server.port=${agents}`,
        '--kubesvc.cluster=static',
        `--kubesvc.cluster-static.instances=${baseUrls.join(',')}`,
        '--kubesvc.drain.endpointRemovalMs=0',
        '--kubesvc.drain.reconnectSpreadMs=0',
        '--kubesvc.drain.timeoutMs=2000',
        `--sql.url=${sqlUrl}`,
        `--redis.connection=${redisUrl}`,
        `--redis.keyPrefix=${new URL(sqlUrl).pathname.slice(1)}:`,
        `--kubesvc.rebalance.enabled=${String(!keepAgents)}`,
        '--logging.level=warn',
        ...(secretFile === undefined ? [] : [`--server.auth.instances.secretFile=${secretFile}`]),
        ...(tls === undefined
          ? []
          : [
              '--server.ssl.enabled=true',
              `--server.ssl.certificateChain=${tls.certificate}`,
              `--server.ssl.privateKey=${tls.key}`,
              `--server.ssl.trustCertCollection=${tls.certificate}`,
            ]),
      ]),
    ),
  );
}

/** One replica as `npm start` has it: with the embedded database in memory, without Redis. */
export async function startEmbedded(): Promise<ServerUnderTest> {
  const [rest, agents] = [await freePort(), await freePort()];
  return ready({ scheme: 'http', rest, agents, node: measuredNode() }, 'dist/main.js', serverOptions, [
    'serve',
    '--server.address=127.0.0.1',
    `--server.port=${rest}`,
    '--kubesvc.grpc.server.address=127.0.0.1',
    `--kubesvc.grpc.server.port=${agents}`,
    '--logging.level=warn',
  ]);
}

export async function startBare(node = measuredNode()): Promise<ServerUnderTest> {
  const rest = await freePort();
  const agents = await freePort();
  return ready(
    { scheme: 'http', rest, agents, node },
    'bench/bare-server.ts',
    ['--import=tsx', ...serverOptions],
    [String(rest), String(agents)],
  );
}

/** A double of an API server (api-server.ts). */
export function startApiServer(): Promise<StartedServer> {
  return startScript('bench/api-server.ts', []);
}

/** A reverse proxy (bare-proxy.ts) to the server at `upstream`. */
export function startBareProxy(upstream: string): Promise<StartedServer> {
  return startScript('bench/bare-proxy.ts', [upstream]);
}

/**
 * The product's agent as a process, with one account at an API server.
 * @param directory for its files
 */
export async function startAgent(directory: string, address: string, account: string, server: string): Promise<Child> {
  const configuration = await agentConfiguration(directory, address, account, server);
  const file = join(directory, `${account}.agent.json`);
  await writeFile(file, JSON.stringify(configuration));
  return new Child('dist/main.js', {
    execArgv: serverOptions,
    args: ['agent', '--config', file],
    node: measuredNode(),
  });
}

async function startScript(script: string, args: readonly string[]): Promise<StartedServer> {
  const port = await freePort();
  const where = { scheme: 'http', rest: port, node: measuredNode() };
  return answering(where, script, ['--import=tsx', ...serverOptions], [String(port), ...args]);
}

interface Where {
  readonly scheme: string;
  /** Port. */
  readonly rest: number;
  readonly node: string;
}

async function ready(
  where: Where & { readonly agents: number },
  script: string,
  execArgv: readonly string[],
  args: readonly string[],
): Promise<ServerUnderTest> {
  const server = await answering(where, script, execArgv, args);
  const restart = () => ready(where, script, execArgv, args);
  return { ...server, agentsAddress: `127.0.0.1:${where.agents}`, restart };
}

async function answering(
  { scheme, rest, node }: Where,
  script: string,
  execArgv: readonly string[],
  args: readonly string[],
): Promise<StartedServer> {
  const spawnedAt = performance.timeOrigin + performance.now();
  const child = new Child(script, { execArgv, args, node });
  const baseUrl = `${scheme}://127.0.0.1:${rest}`;
  try {
    const answers = async () => {
      const response = await request(`${baseUrl}/readyz`, { dispatcher });
      await response.body.dump();
      return response.statusCode === 200 || !child.running;
    };
    const limits = { timeoutMs: readyTimeoutMs, intervalMs: readyPollMs, description: `${script} to be ready` };
    await waitFor(answers, limits);
    if (!child.running) throw new Error(`${script} ended before it was ready`);
  } catch (error) {
    await child.stop();
    throw error;
  }
  return { child, baseUrl, spawnedAt, readyMs: performance.timeOrigin + performance.now() - spawnedAt };
}
