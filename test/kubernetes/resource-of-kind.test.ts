import { test } from 'tap';
import { resourceOfKind } from '../../src/kubernetes/resource-of-kind.js';

test('the resource of a kind, as Kubernetes names it', async (t) => {
  for (const [kind, resource] of [
    ['Deployment', 'deployments'],
    ['deployment', 'deployments'],
    ['deployments', 'deployments'],
    ['Ingress', 'ingresses'],
    ['ingresses', 'ingresses'],
    ['NetworkPolicy', 'networkpolicies'],
    ['Gateway', 'gateways'],
    ['Endpoints', 'endpoints'],
    ['StorageClass', 'storageclasses'],
    ['Lease', 'leases'],
    ['ComponentStatus', 'componentstatuses'],
    ['Certificate.cert-manager.io', 'certificates'],
    ['Prefix', 'prefixes'],
  ] as const)
    t.equal(resourceOfKind(kind), resource, kind);
});
