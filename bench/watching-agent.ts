/**
 * The agent itself, with the options of Node.js that its manifests give it, watching 20,000 objects of a real API server:
 * its memory, and what a cut of 30 s costs.
 */

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { ReleaseStack } from '../src/core/release-stack.js';
import { freePort } from '../test/free-port.js';
import { kubernetesPrograms } from '../test/services/kubernetes-program.js';
import { startKubernetes, type Kubernetes } from '../test/services/kubernetes.js';
import { startMariaDb } from '../test/services/mariadb.js';
import { startTcpProxy } from '../test/tcp-proxy.js';
import { waitFor } from '../test/wait.js';
import { createDatabase, startReplicas } from './servers.js';

export interface WatchingReport {
  readonly objects: number;
  readonly kinds: number;
  readonly objectBytes: number;
  /** Until everything was stored, in s. */
  readonly seconds: number;
  readonly peakResidentBytes: number;
  readonly residentBytes: number;
  readonly cutSeconds: number;
  readonly listsBefore: number;
  /** Lists that the cut led to. */
  readonly listsAfterCut: number;
  /** From the end of the cut until what changed meanwhile was stored, in s. */
  readonly caughtUpSeconds: number;
}

const objectsPerKind = 2_000;
const objectBytes = 3_072;
const cutSeconds = 30;
const changedDuringCut = 100;
const patience = { timeoutMs: 300_000, intervalMs: 200 };
/** Those that the gateway caches by default, and that need no cluster behind them. */
const kinds: Record<string, { readonly path: string; readonly spec: object }> = makeKinds();

/** @returns why it cannot be measured, where Kubernetes cannot be built */
export async function measureWatchingAgent(redisUrl: string): Promise<WatchingReport | string> {
  const programs = await kubernetesPrograms();
  if (typeof programs === 'string') return programs;
  const scope = new ReleaseStack();
  try {
    const [server, kubernetes] = await Promise.all([startMariaDb(), startKubernetes(programs, { controllers: false })]);
    scope.push('MariaDB', () => server.stop());
    scope.push('Kubernetes', () => kubernetes.stop());
    await fill(kubernetes);
    return await measure(await createDatabase(server.url, 'watching'), redisUrl, kubernetes, scope);
  } finally {
    await scope.close();
  }
}

async function measure(
  url: string,
  redisUrl: string,
  kubernetes: Kubernetes,
  scope: ReleaseStack,
): Promise<WatchingReport> {
  const [replica] = await startReplicas(1, url, redisUrl);
  if (replica === undefined) throw new Error('no replica was started');
  scope.push('replica', () => replica.child.stop());
  const proxy = await startTcpProxy({ port: Number(replica.agentsAddress.split(':')[1]) });
  scope.push('proxy', () => proxy.close());
  const database = await createConnection({ uri: url });
  scope.push('connection', () => database.end());

  const agent = await startAgent(`127.0.0.1:${String(proxy.port)}`, kubernetes, scope);
  const began = performance.now();
  const objects = Object.keys(kinds).length * objectsPerKind;
  await waitFor(async () => (await count(database, '%')) >= objects, {
    ...patience,
    description: 'all objects stored',
  });
  const seconds = (performance.now() - began) / 1_000;
  // The lists are over when every kind is watched.
  await waitFor(async () => (await agent.metric('watches')) >= Object.keys(kinds).length, patience);
  await delay(5_000);
  const residentBytes = await agent.resident('VmRSS');
  const listsBefore = await agent.metric('lists_total');

  await proxy.cut();
  await change(kubernetes);
  await delay(cutSeconds * 1_000);
  await proxy.heal();
  const healed = performance.now();
  const changed = async (): Promise<boolean> => (await count(database, '%changed during the cut%')) >= changedDuringCut;
  await waitFor(changed, { ...patience, description: 'what changed during the cut' });
  return {
    objects,
    kinds: Object.keys(kinds).length,
    objectBytes,
    seconds,
    residentBytes,
    peakResidentBytes: await agent.resident('VmHWM'),
    cutSeconds,
    listsBefore,
    listsAfterCut: (await agent.metric('lists_total')) - listsBefore,
    caughtUpSeconds: (performance.now() - healed) / 1_000,
  };
}

async function startAgent(gateway: string, kubernetes: Kubernetes, scope: ReleaseStack) {
  const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-bench-'));
  scope.push('files', () => rm(directory, { recursive: true, force: true }));
  const port = await freePort();
  const file = join(directory, 'agent.yml');
  await writeFile(
    file,
    JSON.stringify({
      agentId: 'agent',
      clouddriver: { grpc: gateway, backoff: { baseDelay: 500_000_000, maxDelay: 2_000_000_000 } },
      kubernetes: {
        accounts: [{ name: 'prod', kubeConfigFile: kubernetes.adminKubeconfig, kinds: Object.keys(kinds) }],
      },
      server: { host: '127.0.0.1', port: 0 },
      prometheus: { enabled: true, port },
      logging: { level: 'error' },
    }),
  );
  const deployment = await readFile('k8s/agent/deployment.yaml', 'utf8');
  const options = /NODE_OPTIONS\s+value: ['"](.+)['"]/.exec(deployment)?.[1]?.split(' ');
  if (options === undefined) throw new Error('k8s/agent/deployment.yaml sets no NODE_OPTIONS');
  const child = spawn(process.execPath, [...options, 'dist/main.js', 'agent', '--config', file], {
    stdio: ['ignore', 2, 2],
  });
  scope.push('agent', () => {
    child.kill('SIGKILL');
  });
  return {
    /** Of /proc/PID/status, in bytes. */
    resident: async (name: 'VmRSS' | 'VmHWM'): Promise<number> => {
      const status = await readFile(`/proc/${String(child.pid)}/status`, 'utf8');
      return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) * 1_024;
    },
    /** The sum over its labels. */
    metric: async (name: string): Promise<number> => {
      const text = await (await fetch(`http://127.0.0.1:${String(port)}/metrics`)).text();
      const samples = text.matchAll(new RegExp(`^agent_gateway_agent_${name}(?:{[^}]*})? (\\S+)$`, 'gm'));
      return [...samples].reduce((sum, [, value]) => sum + Number(value), 0);
    },
  };
}

async function count(database: Connection, body: string): Promise<number> {
  const [rows] = await database.query<RowDataPacket[]>(
    body === '%'
      ? 'select count(*) as n from kubesvc_cache'
      : 'select count(*) as n from kubesvc_cache where body like ?',
    [body],
  );
  return Number(rows[0]?.['n']);
}

async function fill({ api }: Kubernetes): Promise<void> {
  const names = Array.from({ length: objectsPerKind }, (_, index) => `object-${String(index)}`);
  await waitFor(() => api.get('/api/v1/namespaces/default'), patience);
  // Which pods need, and no controller makes here.
  await api.post('/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
  await Promise.all(
    Object.entries(kinds).map(async ([kind, { path, spec }]) => {
      for (const name of names) {
        const annotations = { filler: 'x'.repeat(objectBytes - 1_024) };
        const metadata = { name, labels: { app: 'web' }, annotations };
        const apiVersion = path.startsWith('/api/') ? 'v1' : path.split('/').slice(2, 4).join('/');
        await api.post(path, { apiVersion, kind, metadata, spec });
      }
    }),
  );
}

async function change({ api }: Kubernetes): Promise<void> {
  const path = kinds['Deployment']?.path ?? '';
  for (let index = 0; index < changedDuringCut; index += 1) {
    await api.patch(`${path}/object-${String(index)}`, {
      metadata: { annotations: { note: 'changed during the cut' } },
    });
  }
}

function makeKinds(): Record<string, { path: string; spec: object }> {
  const labels = { app: 'web' };
  const containers = [{ name: 'main', image: 'none', env: [{ name: 'A', value: '1' }] }];
  const template = { metadata: { labels }, spec: { containers } };
  const job = { metadata: { labels }, spec: { containers, restartPolicy: 'Never' } };
  const selector = { matchLabels: labels };
  const apps = '/apis/apps/v1/namespaces/default';
  return {
    Deployment: { path: `${apps}/deployments`, spec: { selector, template } },
    ReplicaSet: { path: `${apps}/replicasets`, spec: { selector, template } },
    StatefulSet: { path: `${apps}/statefulsets`, spec: { selector, template, serviceName: 'web' } },
    DaemonSet: { path: `${apps}/daemonsets`, spec: { selector, template } },
    Job: { path: '/apis/batch/v1/namespaces/default/jobs', spec: { template: job } },
    CronJob: {
      path: '/apis/batch/v1/namespaces/default/cronjobs',
      spec: { schedule: '0 0 * * *', jobTemplate: { spec: { template: job } } },
    },
    Service: { path: '/api/v1/namespaces/default/services', spec: { clusterIP: 'None', selector: labels } },
    Ingress: {
      path: '/apis/networking.k8s.io/v1/namespaces/default/ingresses',
      spec: { defaultBackend: { service: { name: 'web', port: { number: 80 } } } },
    },
    NetworkPolicy: { path: '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies', spec: { podSelector: {} } },
    Pod: { path: '/api/v1/namespaces/default/pods', spec: { containers } },
  };
}
