/**
 * What the chart installs works: on a real API server its objects make pods; this test is the kubelet of one of them, runs
 * the program with that container's arguments, variables and files, and asks its probes.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { Agent, request } from 'undici';
import { makeCertificates } from '../commands/certificates.js';
import { freePort } from '../free-port.js';
import { mariaDbDatabase, redisDatabase } from '../services/databases.js';
import { clusterTools } from '../services/helm.js';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { setPod } from '../services/kubernetes-pods.js';
import { startKubernetes } from '../services/kubernetes.js';
import { waitFor } from '../wait.js';
import { containerSurroundings, podOf, render } from './rendering.js';

const [programs, tools] = await Promise.all([kubernetesPrograms(), clusterTools()]);
const missing = [programs, tools].find((one) => typeof one === 'string');
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const namespace = 'gateway';
const patience = { timeoutMs: 40_000 };

test('a pod of the chart', { skip: missing ?? false }, async (t) => {
  if (typeof tools === 'string') return;
  const [kubernetes, database, redis] = await Promise.all([
    startKubernetes(programs),
    mariaDbDatabase(t),
    redisDatabase(t),
  ]);
  t.teardown(() => kubernetes.stop());
  const certificates = makeCertificates(t);
  const [grpcPort, restPort] = await Promise.all([freePort(), freePort()]);
  const tls = {
    'tls.crt': certificates.read(certificates.chain),
    'tls.key': certificates.read(certificates.key),
    'ca.crt': certificates.read(certificates.authority),
  };
  const objects = await render(
    tools,
    'agent-gateway',
    {
      replicaCount: 1,
      config: {
        server: { port: restPort },
        kubesvc: { grpc: { server: { port: grpcPort } }, drain: { endpointRemovalMs: 100, reconnectSpreadMs: 0 } },
      },
      sql: { existingSecret: 'sql', urlKey: 'url', passwordKey: '' },
      redis: { existingSecret: 'redis', connectionKey: 'url', passwordKey: '' },
      grpc: { tls: { existingSecret: 'grpc-tls', clientAuth: 'REQUIRE' } },
      rest: { tls: { existingSecret: 'rest-tls' } },
    },
    { namespace },
  );
  const kubectl = (args: readonly string[], items: readonly object[]) =>
    tools.kubectl(['--kubeconfig', kubernetes.adminKubeconfig, ...args], {
      stdin: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    });
  await kubectl(['apply', '-f', '-'], [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }]);
  await kubectl(['apply', '-f', '-'], objects);

  const path = `/api/v1/namespaces/${namespace}/pods`;
  const podName = await waitFor(
    async () => (await kubernetes.api.get<{ items: { metadata: { name: string } }[] }>(path)).items[0]?.metadata.name,
    { ...patience, description: 'a pod' },
  );
  const secrets = { sql: { url: database.url }, redis: { url: redis.url }, 'grpc-tls': tls, 'rest-tls': tls };
  const { args, environment } = await containerSurroundings(t, objects, secrets, podName);
  // In place of the service account that a kubelet mounts.
  const kubeconfig = await kubernetes.kubeconfigFor(namespace, podOf(objects).serviceAccountName!);
  const access = [
    `--kubesvc.cluster-kubernetes.kubeconfigFile=${kubeconfig}`,
    `--kubesvc.cluster-kubernetes.namespace=${namespace}`,
  ];
  const start = (command: readonly string[]) => {
    const env = { PATH: process.env['PATH'], ...environment };
    const child = spawn(process.execPath, ['--import=tsx', main, ...command, ...access], { env });
    let output = '';
    child.stdout.on('data', (text: Buffer) => (output += text.toString()));
    child.stderr.on('data', (text: Buffer) => (output += text.toString()));
    t.teardown(() => child.kill('SIGKILL'));
    return { child, exit: once(child, 'exit'), output: () => output };
  };
  const replica = start(args);

  const dispatcher = new Agent({ connect: { ca: readFileSync(certificates.authority), servername: 'gateway' } });
  t.teardown(() => dispatcher.destroy());
  const ask = async (where: string) => {
    const { statusCode, body } = await request(`https://127.0.0.1:${restPort}${where}`, { dispatcher });
    return { statusCode, answer: await body.json() };
  };
  const container = podOf(objects).containers[0]!;
  for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) {
    const { path: where, scheme } = container[probe]!.httpGet!;
    t.equal(scheme, 'HTTPS');
    const passes = async () => replica.child.exitCode !== null || (await ask(where!)).statusCode === 200;
    await waitFor(passes, { ...patience, description: `${where} of ${replica.output()}` });
  }
  t.equal(replica.child.exitCode, null, replica.output());

  // What the scheduler and the kubelet would do: only pods on a node that exists become endpoints.
  await kubernetes.api.post('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node' } });
  await kubernetes.api.post(`${path}/${podName}/binding`, {
    ...{ apiVersion: 'v1', kind: 'Binding', metadata: { name: podName } },
    target: { apiVersion: 'v1', kind: 'Node', name: 'node' },
  });
  await setPod(kubernetes.api, { namespace, name: podName, ips: ['10.0.0.7'] });
  const itself = async () => {
    const { answer } = await ask('/armory/clouddrivers');
    return (answer as { id: string; ready: boolean }[]).some(({ id, ready }) => id === podName && ready);
  };
  await waitFor(itself, { ...patience, description: 'the replica to find itself, ready' });

  const doctor = start(['doctor', ...args.slice(1)]);
  t.same(await doctor.exit, [0, null], doctor.output());
  t.match(doctor.output(), new RegExp(`kubernetes: permitted; 1 instance found: ${podName}`));

  const stopping = performance.now();
  replica.child.kill('SIGTERM');
  t.same(await replica.exit, [0, null], 'it drains and leaves by itself');
  t.ok(performance.now() - stopping < podOf(objects).terminationGracePeriodSeconds! * 1000);
});
