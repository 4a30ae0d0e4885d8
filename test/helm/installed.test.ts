/**
 * What the charts install works: on a real API server their objects make pods; this test is the kubelet of a gateway's and of
 * an agent's, runs the program with that container's arguments, variables and files, asks its probes, and deploys a manifest.
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
const target = 'agent';
const base64 = (object: unknown): string => Buffer.from(JSON.stringify(object)).toString('base64');
const patience = { timeoutMs: 60_000 };

test('a gateway and an agent of the charts', { skip: missing ?? false }, async (t) => {
  if (typeof tools === 'string') return;
  const [kubernetes, database, redis] = await Promise.all([
    startKubernetes(programs),
    mariaDbDatabase(t),
    redisDatabase(t),
  ]);
  t.teardown(() => kubernetes.stop());
  const certificates = makeCertificates(t);
  const [grpcPort, restPort, healthPort] = await Promise.all([freePort(), freePort(), freePort()]);
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
    // The pod of `helm test` is none of a replica.
    { namespace, args: ['--skip-tests'] },
  );
  const kubectl = (args: readonly string[], items: readonly object[]) =>
    tools.kubectl(['--kubeconfig', kubernetes.adminKubeconfig, ...args], {
      stdin: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    });
  await kubectl(
    ['apply', '-f', '-'],
    [namespace, target].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })),
  );
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
  const start = (command: readonly string[], variables: Readonly<Record<string, string>>) => {
    const env = { PATH: process.env['PATH'], ...variables };
    const child = spawn(process.execPath, ['--import=tsx', main, ...command], { env });
    let output = '';
    child.stdout.on('data', (text: Buffer) => (output += text.toString()));
    child.stderr.on('data', (text: Buffer) => (output += text.toString()));
    t.teardown(() => child.kill('SIGKILL'));
    return { child, exit: once(child, 'exit'), output: () => output };
  };
  const replica = start([...args, ...access], environment);

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

  const doctor = start(['doctor', ...args.slice(1), ...access], environment);
  t.same(await doctor.exit, [0, null], doctor.output());
  t.match(doctor.output(), new RegExp(`kubernetes: permitted; 1 instance found: ${podName}`));

  const agentObjects = await render(
    tools,
    'agent',
    {
      config: {
        clouddriver: { grpc: `127.0.0.1:${grpcPort}` },
        kubernetes: {
          accounts: [{ name: 'shop', kubeConfigFile: '/etc/agent-gateway/kubeconfigs/target/kubeconfig' }],
        },
        server: { port: healthPort },
      },
      kubeconfigSecrets: ['target'],
      rbac: { access: 'deploy', namespaces: [target] },
      tls: { existingSecret: 'agent-tls', serverName: 'gateway' },
    },
    { namespace: target, release: 'shop' },
  );
  await kubectl(['apply', '-f', '-'], agentObjects);
  const kubeconfigOfAgent = await kubernetes.kubeconfigFor(target, podOf(agentObjects).serviceAccountName!);
  const agent = await containerSurroundings(t, agentObjects, {
    target: { kubeconfig: readFileSync(kubeconfigOfAgent, 'utf8') },
    'agent-tls': tls,
  });
  const agentProcess = start(agent.args, agent.environment);
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const) {
    const url = `http://127.0.0.1:${healthPort}${podOf(agentObjects).containers[0]![probe]!.httpGet!.path!}`;
    const passes = async () => agentProcess.child.exitCode !== null || (await request(url)).statusCode === 200;
    await waitFor(passes, { ...patience, description: `${url} of ${agentProcess.output()}` });
  }
  t.equal(agentProcess.child.exitCode, null, agentProcess.output());

  const deploy = async (inNamespace: string) => {
    const manifest = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'hello', namespace: inNamespace } };
    const { body } = await request(`https://127.0.0.1:${restPort}/armory/agent/operations`, {
      ...{ method: 'POST', dispatcher, headers: { 'content-type': 'application/json', prefer: 'wait=30' } },
      body: JSON.stringify({ operation: { account: 'shop', deploy: { manifest: base64(manifest) } } }),
    });
    return ((await body.json()) as { result?: { status: number } }).result?.status;
  };
  t.equal(await deploy(target), 200);
  t.match(await kubernetes.api.get(`/api/v1/namespaces/${target}/configmaps/hello`), { kind: 'ConfigMap' });
  t.equal(await deploy('default'), 403, 'only where rbac.namespaces allows it');

  agentProcess.child.kill('SIGTERM');
  t.same(await agentProcess.exit, [0, null], agentProcess.output());
  const stopping = performance.now();
  replica.child.kill('SIGTERM');
  t.same(await replica.exit, [0, null], 'it drains and leaves by itself');
  t.ok(performance.now() - stopping < podOf(objects).terminationGracePeriodSeconds! * 1000);
});
