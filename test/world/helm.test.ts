/** helm through a replica that does not own the account, beside the same commands at the API server itself: equal output but for times. */

import { mkdir, writeFile } from 'node:fs/promises';
import { test } from 'tap';
import { clusterTools } from '../services/helm.js';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { configMap, deployment, pod, service } from './objects.js';
import type { Session } from './session.js';
import { compare, startWorld } from './world.js';

const programs = await kubernetesPrograms();
const [tools, oldTools] = await Promise.all([clusterTools('1.35'), clusterTools('1.22')]);
const missing = [programs, tools, oldTools].find((one) => typeof one === 'string') ?? false;

test('helm', { skip: missing, timeout: 280_000 }, async (t) => {
  if (typeof tools === 'string' || typeof oldTools === 'string') return;
  const world = await startWorld(t, programs, tools.programs);
  await t.test('helm 4', (t) => compare(t, world, (session) => releases(session, '--wait')));
  const old = await world.sessions('old', oldTools.programs);
  await t.test('helm 3.9', (t) => compare(t, old, (session) => releases(session, '--wait')));
});

async function releases(session: Session, ...wait: readonly string[]): Promise<void> {
  const { helm, kubectl } = session;
  const chart = await writeChart(session);
  const failing = (...args: readonly string[]): Promise<unknown> =>
    session.run(args, { fails: true }, session.programs.helm);
  await helm('install', 'web', chart, ...wait, '--timeout=60s');
  await helm('list', '--time-format=');
  // The kinds of its objects come in an order of chance.
  const { stdout } = await session.run(['status', 'web'], { recorded: false }, session.programs.helm);
  session.note(stdout.toString().split('\n').sort().join('\n'));
  await helm('get', 'manifest', 'web');
  await helm('get', 'values', 'web', '--all');
  await kubectl('get', 'deployment', 'web', '-o', 'jsonpath={.status.readyReplicas}');
  await helm('test', 'web', '--logs');
  await helm('upgrade', 'web', chart, ...wait, '--timeout=60s', '--set=replicas=3,image=none:2');
  await kubectl('get', 'deployment', 'web', '-o', 'jsonpath={.status.readyReplicas}');
  // The API server refuses it.
  await failing('upgrade', 'web', chart, ...wait, '--timeout=3s', '--set=image=none:3,replicas=-1');
  await helm('history', 'web');
  await helm('rollback', 'web', '2', ...wait, '--timeout=60s');
  await helm('history', 'web');
  await failing('install', 'web', chart);
  await helm('template', 'web', chart, '--validate');
  await helm('uninstall', 'web', ...wait);
  await helm('list');
  await failing('status', 'web');
  await kubectl('get', 'deployments,services,configmaps,secrets', '-l', 'app.kubernetes.io/managed-by=Helm');
}

/** A Deployment, a Service, a ConfigMap, and a test that is a pod. */
async function writeChart(session: Session): Promise<string> {
  const chart = session.path('chart');
  await mkdir(`${chart}/templates`, { recursive: true });
  const test = pod('checking', { command: ['sh', '-c', 'echo checked'] }) as { metadata: object };
  const hooks = { annotations: { 'helm.sh/hook': 'test', 'helm.sh/hook-delete-policy': 'before-hook-creation' } };
  const managed = JSON.stringify(deployment('web', 987_654, 'IMAGE'))
    .replace('987654', '{{ .Values.replicas }}')
    .replace('"IMAGE"', '{{ .Values.image | quote }}');
  const files = {
    'Chart.yaml': { apiVersion: 'v2', name: 'web', version: '1.0.0', appVersion: '1' },
    'values.yaml': { replicas: 2, image: 'none:1' },
    'templates/service.yaml': service('web'),
    'templates/configmap.yaml': configMap('web', { a: '1' }),
    'templates/test.yaml': { ...test, metadata: { ...test.metadata, ...hooks } },
  };
  for (const [name, content] of Object.entries(files)) await writeFile(`${chart}/${name}`, JSON.stringify(content));
  await writeFile(`${chart}/templates/deployment.yaml`, managed);
  return chart;
}
