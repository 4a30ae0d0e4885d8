/**
 * Informers of client-go and of @kubernetes/client-node, and leader election, while the replica that owns the account is
 * killed or drained, again and again: no event is missed, nothing is written twice, and there are never two leaders.
 * A minute, or as many as WORLD_MINUTES says.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { t as root, test, type Test } from 'tap';
import { accountPath } from '../../src/gateway/kubernetes-api/path.js';
import { Replica } from '../cluster/replica.js';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { startKubernetes } from '../services/kubernetes.js';
import { waitFor } from '../wait.js';
import { ExampleController } from './example-controller.js';
import { disorders, Followed, lives, storeOf } from './followed.js';
import { startFront, type Front } from './front.js';
import { kubeconfigOf } from './session.js';
import { account, grantAgent, ownerOf, startGateway, type Gateway } from './world.js';

const programs = await kubernetesPrograms();
const minutes = Number(process.env['WORLD_MINUTES'] ?? '1');
const namespace = 'default';
const timeout = minutes * 60_000 + 200_000;
const options = { skip: typeof programs === 'string' && programs, timeout };
root.setTimeout(timeout);

test('informers and leaders outlive replicas', options, async (t) => {
  if (typeof programs === 'string') return;
  const kubernetes = await startKubernetes(programs, { controllers: false });
  t.teardown(() => kubernetes.stop());
  await grantAgent(kubernetes.api);
  const gateway = await startGateway(t, await kubernetes.kubeconfigFor('kube-system', 'agent'));
  const front = await startFront(t);
  front.ready(gateway.cluster.replicas.map(({ restUrl }) => restUrl));
  // @kubernetes/client-node wants to be told that there is no TLS.
  const cluster = { server: front.url + accountPath(account), 'insecure-skip-tls-verify': true };
  const kubeconfig = join(t.testdir(), 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigOf(cluster, {}, namespace));

  // It asks the API server itself: what it sees is what happened.
  const truth = await Followed.start(t, kubernetes.adminKubeconfig, namespace);
  const followed = await Followed.start(t, kubeconfig, namespace);
  const control = (identity: string): ExampleController =>
    ExampleController.start(t, programs['example-controller'], kubeconfig, namespace, identity);
  const [first, second] = [control('first'), control('second')];
  const controllers = [first, second];
  await writing(controllers);
  const rounds = await replaceReplicas(t, gateway, front, () => writing(controllers));
  for (const controller of controllers) await controller.rest();

  const path = `/api/v1/namespaces/${namespace}/configmaps?labelSelector=controller=example`;
  const { items } = await kubernetes.api.get<{ items: { metadata: { name: string; resourceVersion: string } }[] }>(
    path,
  );
  const left = Object.fromEntries(items.map(({ metadata }) => [metadata.name, metadata.resourceVersion]));
  for (const [name, one] of Object.entries({ truth, followed, first, second })) {
    const same = (): boolean => JSON.stringify(storeOf(one.events)) === JSON.stringify(left);
    await waitFor(same, { description: `the store of ${name} to be what is there` });
  }
  for (const controller of controllers) await controller.end();
  const happened = lives(truth.events);
  t.comment(
    `${String(rounds)} replicas ended, ${String(happened.size)} objects, errors of the informer: ${followed.errors.join()}`,
  );

  await t.test('no event is missed', (t) => {
    t.strictSame(Object.fromEntries(lives(followed.events)), Object.fromEntries(happened), '@kubernetes/client-node');
    t.strictSame(disorders(followed.events), [], 'its versions grow');
    for (const controller of controllers) {
      t.strictSame(Object.fromEntries(lives(controller.events)), Object.fromEntries(happened), 'client-go');
      t.strictSame(disorders(controller.events), [], 'its versions grow');
      t.same(controller.of('store')[0]?.store, left, 'its store');
    }
    t.end();
  });

  await t.test('nothing is written twice', (t) => {
    const writers = [...truth.writers.values()];
    const twice = writers.filter((one, index) => writers.indexOf(one) !== index);
    t.strictSame(twice, []);
    const acknowledged = controllers.flatMap((one) => one.of('wrote').map(({ name = '' }) => name));
    const lost = acknowledged.filter((name) => !happened.has(name));
    t.strictSame(lost, [], 'what was acknowledged was done');
    const unknown = controllers.flatMap((one) => one.of('unknown').map(({ error = '' }) => error));
    t.comment(`${String(acknowledged.length)} writes; outcome unknown: ${JSON.stringify(unknown, null, 1)}`);
    t.end();
  });

  await t.test('the history knows the name of what was made, which the API server chose', async (t) => {
    const name = controllers.flatMap((one) => one.of('wrote')).at(-1)?.name ?? '';
    const objects = `${front.url}${accountPath(account)}/api/v1/namespaces/${namespace}/configmaps`;
    const accept = 'application/vnd.kubernetes.protobuf';
    const body = await (await fetch(`${objects}/${name}`, { headers: { accept } })).arrayBuffer();
    const again = await fetch(objects, { method: 'POST', headers: { 'content-type': accept, accept }, body });
    t.ok(again.status >= 400, 'it is there');
    const query = new URLSearchParams({ account, name });
    await waitFor(
      async () => {
        const rows = await (await fetch(`${front.url}/armory/agent/operations?${query.toString()}`)).json();
        return (rows as { verb: string }[]).filter(({ verb }) => verb === 'create').length === 2;
      },
      { description: `rows about ${name}, made with generateName and again with protobuf`, intervalMs: 200 },
    );
    t.end();
  });

  await t.test('there is one leader', (t) => {
    const terms = controllers.flatMap(termsOf).sort((one, other) => one.from - other.from);
    t.comment(JSON.stringify(terms));
    terms.forEach(({ to }, index) => {
      t.ok(to <= (terms[index + 1]?.from ?? Infinity), 'a term ends before the next one');
    });
    t.equal(terms.length, 1, 'leadership is kept');
    t.end();
  });
});

/** Waits until the leader has written more. */
async function writing(controllers: readonly ExampleController[]): Promise<void> {
  const written = (): number => controllers.reduce((sum, one) => sum + one.of('wrote').length, 0);
  const before = written();
  await waitFor(() => written() > before + 10, {
    description: `the leader to write: ${controllers.map(({ errors }) => errors.slice(-2_000)).join()}`,
  });
}

/** Ends the owner, by turns killed and in order, and starts another replica in its place. @returns how often */
async function replaceReplicas(t: Test, { cluster }: Gateway, front: Front, settled: () => Promise<void>) {
  const replicas = [...cluster.replicas];
  const end = performance.now() + minutes * 60_000;
  let round = 0;
  for (; performance.now() < end; round += 1) {
    const owner = await waitFor(() => ownerOf(replicas), { intervalMs: 100, description: 'an owner' });
    const index = replicas.findIndex(({ id }) => id === owner);
    const replica = replicas[index];
    if (replica === undefined) throw new Error(`${owner} is no replica that runs`);
    // As a Service does: before the end of one that ends in order, after that of one that dies.
    front.ready(replicas.filter((one) => one !== replica).map(({ restUrl }) => restUrl));
    await replica.end(round % 2 === 0 ? 'SIGKILL' : 'SIGTERM');
    const next = await Replica.spawn({
      id: `gateway-${String(replicas.length + round)}`,
      settings: cluster.settings,
      restPort: Number(new URL(replica.restUrl).port),
      agentsPort: Number(replica.agentsAddress.split(':')[1]),
    });
    t.teardown(() => next.end());
    replicas[index] = await next.ready();
    front.ready(replicas.map(({ restUrl }) => restUrl));
    await settled();
  }
  return round;
}

/** From when to when it led, in Unix ms. */
function termsOf(controller: ExampleController): { readonly from: number; readonly to: number }[] {
  const terms: { from: number; to: number }[] = [];
  for (const { kind, time } of controller.of('leading', 'following')) {
    if (kind === 'leading') terms.push({ from: time, to: Infinity });
    // An election that was not won ends with "following", too.
    else if (terms.at(-1)?.to === Infinity) terms.splice(-1, 1, { from: terms.at(-1)?.from ?? 0, to: time });
  }
  return terms;
}
