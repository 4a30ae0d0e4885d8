/** A real API server accepts everything that the charts render and that Kustomize builds, and pods may start. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { waitFor } from '../wait.js';
import { agentRows } from './agent-values.js';
import { gatewayRows } from './gateway-values.js';
import { kustomizations, manifests } from './kustomizations.js';
import { objectOf, parseObjects, podOf, render, type KubernetesObject, type Values } from './rendering.js';
import { targetCluster } from './target-cluster.js';

const { missing, start } = await targetCluster();

const charts: Readonly<Record<string, Readonly<Record<string, Values>>>> = {
  'agent-gateway': gatewayRows,
  agent: agentRows,
};

test('on a real API server', { skip: missing }, async (t) => {
  const { kubernetes, kubectl, ...tools } = await start(t);

  const dryRun = async (objects: readonly KubernetesObject[], ...args: string[]): Promise<string> =>
    kubectl(['apply', '--dry-run=server', '--validate=strict', ...args, '--filename=-'], objects);

  /** What the API server says that a service account, as NAMESPACE:NAME, may do. */
  const may = async (account: string, verb: string, resource: string, namespace = 'gateway'): Promise<string> => {
    const args = ['auth', 'can-i', verb, resource, `--as=system:serviceaccount:${account}`, '--namespace', namespace];
    // It exits with 1 after it has said no.
    const answer = await kubectl(args).catch((error: unknown) => (error as Error).message);
    return answer.trim().split('\n').at(-1) ?? '';
  };

  for (const [chart, rows] of Object.entries(charts)) {
    for (const [name, values] of Object.entries(rows)) {
      await t.test(`${chart}: ${name}`, async (t) => {
        const objects = await render(tools, chart, values);
        const answer = await dryRun(objects);
        t.equal(answer.match(/(created|configured|unchanged) \(server dry run\)/g)?.length, objects.length, answer);
      });
    }
  }

  await t.test('agent-gateway: examples', async (t) => {
    for (const example of ['aws-nlb', 'gcp', 'azure']) {
      const args = ['--values', join(manifests, `../helm/agent-gateway/examples/${example}.yaml`)];
      const objects = await render(tools, 'agent-gateway', gatewayRows['a shared database'], { args });
      t.match(await dryRun(objects), /grpc created/);
    }
  });

  for (const [directory, { options }] of Object.entries(kustomizations)) {
    await t.test(`k8s/${directory}`, async (t) => {
      const objects = parseObjects(await kubectl(['kustomize', join(manifests, directory)]));
      const answer = await dryRun(objects, '--namespace', options.namespace ?? 'gateway');
      t.equal(answer.match(/created \(server dry run\)/g)?.length, objects.length, answer);
    });
  }

  await t.test('the pods of k8s/gateway are made under the Pod Security Standard "restricted"', async (t) => {
    const objects = parseObjects(await kubectl(['kustomize', join(manifests, 'gateway')]));
    await kubectl(['apply', '--namespace=gateway', '--filename=-'], objects);
    t.equal(podOf(objects).serviceAccountName, 'agent-gateway');
    const pods = async () => {
      const { items } = await kubernetes.api.get<{ items: unknown[] }>('/api/v1/namespaces/gateway/pods');
      return items.length === 3;
    };
    await waitFor(pods, { description: 'three pods' });
    for (const resource of ['endpoints', 'endpointslices.discovery.k8s.io']) {
      t.equal(await may('gateway:agent-gateway', 'list', resource), 'yes');
      t.equal(await may('gateway:agent-gateway', 'watch', resource), 'yes');
      t.equal(await may('gateway:agent-gateway', 'list', resource, 'default'), 'no');
    }
    t.equal(await may('gateway:agent-gateway', 'get', 'secrets'), 'no');
  });

  await t.test('agents of Armory are led to the gateway as docs/migrate-from-armory.md says', async (t) => {
    const objects = parseObjects(await kubectl(['kustomize', join(manifests, 'overlays/beside-clouddriver')]));
    const { metadata, spec } = objectOf(objects, 'Service', /^spin-clouddriver-grpc$/) as KubernetesObject & {
      readonly spec: { readonly selector: object };
    };
    const before = { app: 'spin', cluster: 'spin-clouddriver' };
    const service = { apiVersion: 'v1', kind: 'Service', metadata, spec: { ...spec, selector: before } };
    const selector = async () => {
      const path = `/api/v1/namespaces/spinnaker/services/${metadata.name}`;
      return (await kubernetes.api.get<{ spec: { selector: unknown } }>(path)).spec.selector;
    };
    await kubectl(['create', '--filename=-'], [service]);
    const page = readFileSync(join(manifests, '../docs/migrate-from-armory.md'), 'utf8');
    const [, patch = ''] = /--type=json --patch \\\n {2}'(.*)'/.exec(page) ?? [];
    await kubectl(['--namespace=spinnaker', 'patch', 'service', metadata.name, '--type=json', '--patch', patch]);
    t.same(await selector(), spec.selector);
    t.same(objectOf(objects, 'Deployment').spec!.selector.matchLabels, spec.selector);

    await kubectl(['--namespace=spinnaker', 'delete', 'service', metadata.name]);
    await kubectl(['create', '--filename=-'], [service]);
    await kubectl(['apply', '--filename=-'], [{ ...service, spec }]);
    t.same(await selector(), { ...before, ...spec.selector }, 'which is why the page says not to apply');
  });

  await t.test('an agent may do what its rbac.access says', async (t) => {
    const account = 'agent-gateway-agent:agent';
    const verdicts = async () =>
      Promise.all([
        may(account, 'list', 'deployments.apps'),
        may(account, 'watch', 'customresourcedefinitions.apiextensions.k8s.io'),
        may(account, 'create', 'deployments.apps'),
        may(account, 'get', 'secrets'),
        may(account, 'escalate', 'clusterroles.rbac.authorization.k8s.io'),
        may(account, 'impersonate', 'users'),
      ]);
    const apply = async (directory: string) =>
      kubectl(['apply', '--filename=-'], parseObjects(await kubectl(['kustomize', join(manifests, directory)])));
    await apply('agent');
    t.same(await verdicts(), ['yes', 'yes', 'no', 'no', 'no', 'no']);
    const pods = async () => {
      const { items } = await kubernetes.api.get<{ items: unknown[] }>('/api/v1/namespaces/agent-gateway-agent/pods');
      return items.length === 1;
    };
    await waitFor(pods, { description: 'a pod under the Pod Security Standard "restricted"' });
    await apply('overlays/agent-mtls');
    t.same(await verdicts(), ['yes', 'yes', 'yes', 'yes', 'no', 'no']);
  });
});
