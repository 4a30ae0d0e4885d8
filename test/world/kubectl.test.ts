/** kubectl through a replica that does not own the account, beside the same commands at the API server itself: equal output but for times. */

import { test } from 'tap';
import { clusterTools } from '../services/helm.js';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { configMap, deployment, pod, resourceDefinition, service } from './objects.js';
import type { Session } from './session.js';
import { forwards, streams } from './streams.js';
import { compare, startWorld } from './world.js';

const programs = await kubernetesPrograms();
const [tools, oldTools] = await Promise.all([clusterTools('1.35'), clusterTools('1.22')]);
const missing = [programs, tools, oldTools].find((one) => typeof one === 'string') ?? false;

test('kubectl', { skip: missing, timeout: 280_000 }, async (t) => {
  if (typeof tools === 'string' || typeof oldTools === 'string') return;
  const world = await startWorld(t, programs, tools.programs);
  const alike = (name: string, commands: (session: Session) => Promise<void>): Promise<unknown> =>
    t.test(name, (t) => compare(t, world, commands));

  await alike('apply, diff, get', async (session) => {
    const { kubectl, failing } = session;
    const web = await session.file('web.json', deployment('web'), service('web'), configMap('web', { a: '1' }));
    await failing('diff', '-f', web);
    await kubectl('apply', '-f', web);
    await kubectl('rollout', 'status', 'deployment/web');
    await kubectl('apply', '-f', web);
    const changed = await session.file('web2.json', deployment('web', 3), configMap('web', { a: '2', b: '3' }));
    await failing('diff', '-f', changed);
    await kubectl('apply', '-f', changed);
    await kubectl('rollout', 'status', 'deployment/web');
    await kubectl('diff', '-f', changed);
    const forms = ['', 'wide', 'yaml', 'json', 'name', 'jsonpath={..metadata.name}', 'custom-columns=N:.metadata.name'];
    for (const form of forms) {
      await kubectl('get', 'deployments,services,configmaps,pods', ...(form === '' ? [] : ['-o', form]));
    }
    await kubectl('get', 'all', '-l', 'app=web', '--show-labels');
    await kubectl('get', 'pods', '-l', 'app notin (web)');
    await kubectl('get', 'configmaps', '--chunk-size=1');
    await failing('get', 'configmap', 'missing');
    await failing('get', 'gadgets');
    await kubectl('describe', 'deployment', 'web');
  });

  await alike('apply on the server', async (session) => {
    const { kubectl, failing } = session;
    const one = await session.file('one.json', configMap('shared', { a: '1' }));
    const two = await session.file('two.json', configMap('shared', { a: '2' }));
    await kubectl('apply', '--server-side', '--field-manager=first', '-f', one);
    await failing('diff', '--server-side', '--field-manager=second', '--force-conflicts', '-f', two);
    await failing('apply', '--server-side', '--field-manager=second', '-f', two);
    await kubectl('apply', '--server-side', '--field-manager=second', '--force-conflicts', '-f', two);
    await failing('apply', '--server-side', '--dry-run=server', '-f', one);
    await kubectl('get', 'configmap', 'shared', '-o', 'yaml', '--show-managed-fields');
  });

  await alike('patches of every kind, and what writes', async (session) => {
    const { kubectl, failing } = session;
    const strategic = {
      spec: { template: { spec: { containers: [{ name: 'main', env: [{ name: 'A', value: '1' }] }] } } },
    };
    await kubectl('patch', 'deployment', 'web', '-p', JSON.stringify(strategic));
    await kubectl('patch', 'configmap', 'web', '--type=merge', '-p', '{"data":{"b":null}}');
    await kubectl('patch', 'configmap', 'web', '--type=json', '-p', '[{"op":"add","path":"/data/c","value":"4"}]');
    await failing('patch', 'configmap', 'web', '--type=json', '-p', '[{"op":"test","path":"/data/c","value":"5"}]');
    await kubectl('patch', 'deployment', 'web', '--subresource=scale', '--type=merge', '-p', '{"spec":{"replicas":2}}');
    await kubectl('label', 'configmap', 'web', 'tier=front');
    await kubectl('annotate', 'configmap', 'web', 'note=a b');
    await kubectl('scale', 'deployment/web', '--replicas=1');
    await kubectl('create', 'configmap', 'made', '--from-literal=a=b');
    await failing('create', 'configmap', 'made', '--from-literal=a=b');
    await session.run(['replace', '-f', '-'], { stdin: JSON.stringify(configMap('made', { a: 'c' })) });
    await session.run(['edit', 'configmap', 'made'], { environment: { KUBE_EDITOR: 'sed -i s/a:.c/a:\\ d/' } });
    await kubectl('get', 'configmap', 'made', 'web', '-o', 'yaml');
    await kubectl('create', 'secret', 'generic', 'word', '--from-literal=a=b');
    await kubectl('get', 'secret', 'word', '-o', 'yaml');
    await failing('delete', 'configmap', 'made', 'missing');
  });

  await alike('rollouts', async (session) => {
    const { kubectl, failing } = session;
    await kubectl('set', 'image', 'deployment/web', 'main=none:2');
    await kubectl('rollout', 'status', 'deployment/web', '--timeout=60s');
    await kubectl('rollout', 'history', 'deployment/web');
    await kubectl('rollout', 'undo', 'deployment/web');
    await kubectl('rollout', 'restart', 'deployment/web');
    await kubectl('rollout', 'status', 'deployment/web', '--timeout=60s');
    await kubectl('rollout', 'pause', 'deployment/web');
    await kubectl('rollout', 'resume', 'deployment/web');
    await kubectl('wait', '--for=condition=Available', 'deployment/web', '--timeout=60s');
    await failing('wait', '--for=condition=Nothing', 'deployment/web', '--timeout=1s');
    await kubectl('get', 'deployment', 'web', '-o', 'jsonpath={.spec.template.spec.containers[0].image}');
  });

  await alike('watches give every event at once', async (session) => {
    const watch = session.start(['get', 'configmaps', '-l', 'watched', '-w', '--output-watch-events']);
    const labels = { labels: { watched: 'yes' } };
    const file = await session.file('watched.json', configMap('watched', { a: '1' }, labels));
    await session.kubectl('apply', '-f', file);
    await watch.said(/ADDED +watched/u);
    await session.kubectl('label', 'configmap', 'watched', 'more=yes');
    await watch.said(/MODIFIED +watched/u);
    await session.kubectl('delete', 'configmap', 'watched');
    await watch.said(/DELETED +watched/u);
    const { stdout, stderr } = await watch.interrupt();
    session.note(`${stdout.toString()}${stderr}`);
  });

  await alike('delete waits for what lingers', async (session) => {
    const held = configMap('held', {}, { finalizers: ['example.com/hold'] });
    await session.kubectl('create', '-f', await session.file('held.json', held));
    const deletion = session.start(['delete', 'configmap', 'held', '--wait']);
    await deletion.said('deleted');
    await session.kubectl('get', 'configmap', 'held');
    await session.kubectl('patch', 'configmap', 'held', '--type=merge', '-p', '{"metadata":{"finalizers":null}}');
    const { code, stdout, stderr } = await deletion.ended();
    session.note(`${stdout.toString()}${stderr}${String(code)}`);
    await session.failing('get', 'configmap', 'held');
    await session.kubectl('create', '-f', await session.file('pod.json', pod('leaving')));
    await session.kubectl('wait', '--for=condition=Ready', 'pod/leaving');
    await session.kubectl('delete', 'pod', 'leaving', '--wait');
    await session.failing('get', 'pod', 'leaving');
  });

  await alike('questions about the API', async (session) => {
    const { kubectl, failing } = session;
    await kubectl('version');
    await kubectl('api-versions');
    await kubectl('api-resources', '--sort-by=name');
    await kubectl('api-resources', '--verbs=list', '-o', 'wide', '--sort-by=name');
    await kubectl('explain', 'deployment.spec.strategy', '--recursive');
    await kubectl('explain', 'pods', '--output=plaintext-openapiv2');
    await kubectl('auth', 'can-i', 'create', 'pods');
    await kubectl('auth', 'whoami');
    await kubectl('get', '--raw', '/healthz');
    await failing('get', '--raw', '/nothing');
    await kubectl('get', 'nodes', '-o', 'wide');
    await kubectl('get', 'deployments,services', '-A', '--field-selector=metadata.namespace=default');
    await failing('top', 'pods');
    await kubectl('create', 'serviceaccount', 'somebody');
    const { code, stdout } = await session.run(['create', 'token', 'somebody'], { recorded: false });
    session.note(`${String(code)} ${String(stdout.toString().split('.').length)}`);
  });

  await t.test('a resource that is defined while it is asked for', async (t) => {
    await world.kubernetes.api.post(
      '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
      resourceDefinition('example.com'),
    );
    await compare(t, world, async (session) => {
      const { kubectl } = session;
      await kubectl('wait', '--for=condition=Established', 'crd/gadgets.example.com');
      const gadget = { apiVersion: 'example.com/v1', kind: 'Gadget', metadata: { name: 'one' }, size: 3 };
      await kubectl('apply', '-f', await session.file('gadget.json', gadget));
      await kubectl('get', 'gdt', '-o', 'yaml');
      await kubectl('explain', 'gadget.size');
      await kubectl('delete', 'gadget', '--all');
    });
  });

  await alike('logs', async (session) => {
    const { kubectl, failing } = session;
    const slow = ['sh', '-c', 'echo one; sleep 1; echo two >&2; sleep 1; echo three; exit 1'];
    await kubectl('apply', '-f', await session.file('slow.json', pod('slow', { command: slow })));
    await kubectl('wait', '--for=condition=Ready', 'pod/slow');
    // Ends when the container does.
    await kubectl('logs', '-f', 'slow');
    await kubectl('logs', 'slow', '--tail=1', '--timestamps');
    await kubectl('logs', 'slow', '--limit-bytes=5');
    await kubectl('logs', '-l', 'app=slow', '--prefix', '--all-containers');
    await failing('logs', 'slow', '-c', 'other');
    await failing('logs', 'missing');
    await kubectl('wait', '--for=jsonpath={.status.phase}=Failed', 'pod/slow');
    await kubectl('get', 'pod', 'slow');
  });

  await alike('exec, cp and attach', streams);
  await alike('port-forward', forwards);
  await alike('run', async (session) => {
    const run = ['run', 'once', '--image=none', '-i', '--rm', '--restart=Never', '--quiet', '--command', '--'];
    await session.run([...run, 'sh', '-c', 'cat; exit 0'], { stdin: 'hallo\n' });
  });

  await t.test('kubectl 1.22', async (t) => {
    const old = await world.sessions('1.22', oldTools.programs);
    await t.test('what writes and reads', (t) =>
      compare(t, old, async (session) => {
        const { kubectl, failing } = session;
        const web = await session.file('old.json', deployment('old'), configMap('old', { a: '1' }));
        await kubectl('apply', '-f', web);
        await kubectl('rollout', 'status', 'deployment/old');
        const changed = await session.file('old2.json', deployment('old', 3), configMap('old', { a: '2' }));
        // It shows fields that are managed, with their times.
        await session.run(['diff', '-f', changed], { fails: true, recorded: false });
        await kubectl('apply', '--server-side', '--force-conflicts', '-f', changed);
        await kubectl('rollout', 'status', 'deployment/old');
        await kubectl('get', 'deployments,configmaps', '-l', 'app=old', '-o', 'yaml');
        await kubectl('explain', 'deployment.spec.strategy');
        await kubectl('api-resources', '--sort-by=name');
        await kubectl('delete', 'deployment', 'old', '--wait');
        await failing('get', 'deployment', 'old');
      }),
    );
    await t.test('exec, cp and attach', (t) => compare(t, old, streams));
    await t.test('port-forward', (t) => compare(t, old, forwards));
  });
});
