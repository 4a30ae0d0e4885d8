/**
 * Many small TLS connections: what a handshake costs, by kind of certificate, and clients that come without end beside
 * agents. Two replicas of the built gateway, MariaDB and Redis, and 200 simulated agents.
 */

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { ReleaseStack } from '../src/core/release-stack.js';
import { startMariaDb } from '../test/services/mariadb.js';
import { startRedis } from '../test/services/redis.js';
import { Child } from './child.js';
import type { IdleAgentsOptions } from './idle-agents.js';
import { table, type Target } from './report.js';
import { createDatabase, startReplicas, type ServerUnderTest } from './servers.js';
import type { TlsReport, TlsVisits } from './tls-load.js';

/** As openssl takes them. */
const certificates = {
  'EC P-256': ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
  'RSA 2048': ['rsa:2048'],
} as const;
type CertificateKind = keyof typeof certificates;

export interface HandshakeReport {
  readonly certificate: CertificateKind;
  readonly kind: TlsVisits['kind'];
  /** Requests per second of CPU time of the replica; but for `kept`, each with its connection. */
  readonly perCpuSecond: number;
}

export interface ArrivalReport {
  readonly replicas: number;
  readonly perSecond: number;
  readonly answered: number;
  readonly failed: number;
  readonly failure: string | undefined;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of one core, of all replicas. */
  readonly cpuPercent: number;
  readonly lostLeases: number;
}

export interface TlsBenchReport {
  readonly handshakes: readonly HandshakeReport[];
  readonly arrivals: readonly ArrivalReport[];
}

const agents = 200;
const perSecond = 230;
const path = '/kubernetes/accounts/sim-0-0/api/v1/configmaps';
const clients = 8;
/** The gateway's certificate is its own CA here. */
const trusting = new Agent({ connect: { rejectUnauthorized: false } });

export async function measureTls(
  { rounds, measureMs, arrivalMs }: { rounds: number; measureMs: number; arrivalMs: number },
  say: (text: string) => void,
): Promise<TlsBenchReport> {
  const scope = new ReleaseStack();
  try {
    const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-bench-'));
    scope.push('directory', () => rm(directory, { recursive: true }));
    const secretFile = join(directory, 'secret');
    await writeFile(secretFile, randomBytes(48).toString('base64'));
    const [mariaDb, redis] = await Promise.all([startMariaDb(), startRedis()]);
    scope.push('mariadb', () => mariaDb.stop());
    scope.push('redis', () => redis.stop());
    const load = new Child('bench/tls-load.ts', { execArgv: ['--import=tsx'], callTimeoutMs: 600_000 });
    scope.push('load', () => load.stop());
    const clusters = new Map<CertificateKind, readonly ServerUnderTest[]>();
    for (const [index, certificate] of (Object.keys(certificates) as CertificateKind[]).entries()) {
      const tls = makeCertificate(directory, certificate);
      const database = await createDatabase(mariaDb.url, `tls_${String(index)}`);
      const servers = await startReplicas(2, database, redis.url, { secretFile, tls });
      for (const { child } of servers) scope.push('replica', () => child.stop());
      clusters.set(certificate, servers);
    }
    const handshakes = await measureHandshakes(load, clusters, { rounds, measureMs });
    say('handshakes measured');
    for (const { child } of clusters.get('RSA 2048') ?? []) await child.stop();
    const servers = clusters.get('EC P-256') ?? [];
    const simulated = new Child('bench/idle-agents.ts', { execArgv: ['--import=tsx'], callTimeoutMs: 300_000 });
    scope.push('agents', () => simulated.stop());
    const addresses = servers.map(({ agentsAddress }) => agentsAddress);
    await simulated.call('connect', { addresses, agents, objects: 1 } satisfies IdleAgentsOptions);
    const arrivals: ArrivalReport[] = [];
    for (const count of [1, 2]) arrivals.push(await measureArrivals(load, servers, count, arrivalMs));
    return { handshakes, arrivals };
  } finally {
    await scope.close();
  }
}

/** @returns its files */
function makeCertificate(
  directory: string,
  kind: CertificateKind,
): { readonly certificate: string; readonly key: string } {
  const name = join(directory, kind.replaceAll(' ', '-'));
  const [certificate, key] = [`${name}.crt`, `${name}.key`];
  const names = ['-subj', '/CN=gateway', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const files = ['-keyout', key, '-out', certificate];
  execFileSync(
    'openssl',
    ['req', '-x509', '-nodes', '-days', '90', '-newkey', ...certificates[kind], ...names, ...files],
    {
      stdio: 'ignore',
    },
  );
  return { certificate, key };
}

/** Medians over the rounds, in which all kinds take turns: what else the machine does concerns all of them alike. */
async function measureHandshakes(
  load: Child,
  clusters: ReadonlyMap<CertificateKind, readonly ServerUnderTest[]>,
  { rounds, measureMs }: { readonly rounds: number; readonly measureMs: number },
): Promise<HandshakeReport[]> {
  const cases = [...clusters].flatMap(([certificate, servers]) =>
    (['kept', 'full', 'resumed'] as const).map((kind) => ({ certificate, servers, kind, found: [] as number[] })),
  );
  // The first round warms up.
  for (let round = 0; round <= rounds; round += 1) {
    for (const { servers, kind, found } of cases) {
      const before = await cpuOf(servers);
      // The cheapest answer, so that the handshake is most of it.
      const visits: TlsVisits = {
        ports: portsOf(servers),
        path: '/healthz',
        kind,
        forMs: measureMs,
        arrival: { clients },
      };
      const { answered, failed, failure, resumed } = await load.call<TlsReport>('run', visits);
      const cpuSeconds = ((await cpuOf(servers)) - before) / 1e6;
      if (failed > 0) throw new Error(`${String(failed)} requests failed: ${failure ?? ''}`);
      if (kind === 'resumed' && resumed < answered * 0.99)
        throw new Error(`only ${String(resumed)} of ${String(answered)} sessions were resumed`);
      if (round > 0) found.push(answered / cpuSeconds);
    }
  }
  return cases.map(({ certificate, kind, found }) => ({ certificate, kind, perCpuSecond: median(found) }));
}

async function measureArrivals(
  load: Child,
  servers: readonly ServerUnderTest[],
  replicas: number,
  forMs: number,
): Promise<ArrivalReport> {
  const losses = await lostLeases(servers);
  const before = await cpuOf(servers);
  const ports = portsOf(servers.slice(0, replicas));
  const visits: TlsVisits = { ports, path, kind: 'full', forMs, arrival: { perSecond } };
  const { answered, failed, failure, seconds, p50Ms, p99Ms } = await load.call<TlsReport>('run', visits);
  const cpuPercent = ((await cpuOf(servers)) - before) / 1e4 / seconds;
  const lost = (await lostLeases(servers)) - losses;
  return { replicas, perSecond, answered, failed, failure, p50Ms, p99Ms, cpuPercent, lostLeases: lost };
}

function portsOf(servers: readonly ServerUnderTest[]): number[] {
  return servers.map(({ baseUrl }) => Number(new URL(baseUrl).port));
}

/** Of all of them, in µs. */
async function cpuOf(servers: readonly ServerUnderTest[]): Promise<number> {
  const times = await Promise.all(servers.map(({ child }) => child.call<number>('cpu')));
  return times.reduce((total, time) => total + time, 0);
}

async function lostLeases(servers: readonly ServerUnderTest[]): Promise<number> {
  let total = 0;
  for (const { baseUrl } of servers) {
    const response = await request(`${baseUrl}/metrics`, { dispatcher: trusting });
    const text = await response.body.text();
    total += Number(/^agent_gateway_lease_losses_total(?:\{[^}]*\})? (\d+)/mu.exec(text)?.[1] ?? 0);
  }
  return total;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}

export function tlsTables({ handshakes, arrivals }: TlsBenchReport): string {
  const kept = (certificate: CertificateKind): number =>
    handshakes.find((one) => one.certificate === certificate && one.kind === 'kept')?.perCpuSecond ?? 0;
  const costs = handshakes.map(({ certificate, kind, perCpuSecond }): readonly string[] => [
    certificate,
    { kept: 'kept connections', full: 'a handshake each', resumed: 'a resumed session each' }[kind],
    perCpuSecond.toFixed(0),
    `${((perCpuSecond / kept(certificate)) * 100).toFixed(0)} %`,
    `${(1e6 / perCpuSecond - 1e6 / kept(certificate)).toFixed(0)} µs`,
  ]);
  const rates = arrivals.map((one): readonly string[] => [
    String(one.replicas),
    `${String(one.perSecond)} /s`,
    `${String(one.answered)}, ${String(one.failed)}${one.failure === undefined ? '' : ` (${one.failure.split('\n')[0]?.trim() ?? ''})`}`,
    `${one.p50Ms.toFixed(1)}, ${one.p99Ms.toFixed(1)} ms`,
    `${one.cpuPercent.toFixed(0)} % of a core`,
    String(one.lostLeases),
  ]);
  const heads = [
    ['certificate', 'requests over', 'requests per CPU second', 'of kept connections', 'CPU for the connection'],
    ['replicas', 'new connections', 'answered, failed', 'p50, p99', 'CPU of both replicas', 'lost leases'],
  ] as const;
  return `${table([heads[0], ...costs], 2)}\n\n${table([heads[1], ...rates], 1)}`;
}

export function tlsTargets({ handshakes, arrivals }: TlsBenchReport): readonly Target[] {
  const costOf = (kind: TlsVisits['kind']): number =>
    handshakes.find((one) => one.certificate === 'EC P-256' && one.kind === kind)?.perCpuSecond ?? 0;
  return [
    { name: 'resumed over full, EC P-256', value: costOf('resumed') / costOf('full'), limit: 1, unit: '', least: true },
    ...arrivals.flatMap(({ replicas, failed, lostLeases: lost }) => [
      { name: `${replicas} replicas: failed requests`, value: failed, limit: 0, unit: '', least: false },
      { name: `${replicas} replicas: lost leases`, value: lost, limit: 0, unit: '', least: false },
    ]),
  ];
}
