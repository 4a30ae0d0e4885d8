/** What `doctor` says of Kubernetes, against the tests' API server and against nothing. */

import { test } from 'tap';
import { examineKubernetes, membersOutcome } from '../../src/commands/doctor/kubernetes.js';
import { KubernetesApiServer } from '../kubernetes-server/api-server.js';
import { endpointSlice } from '../kubernetes-server/objects.js';
import { collect, configured } from './configured.js';

const { signal } = new AbortController();
const flags = [
  '--kubesvc.cluster=kubernetes',
  '--server.auth.anonymousRole=admin',
  '--sql.url=mysql://u@db/x',
  '--instance.id=gateway-1',
];
const pods = [
  { name: 'gateway-1', ip: '10.0.0.1' },
  { name: 'gateway-2', ip: '10.0.0.2', ready: false },
];

test('another kind of cluster has nothing to say', async (t) => {
  t.same(await collect(examineKubernetes(configured(), signal)), []);
});

test('permitted: the instances that are found', async (t) => {
  const api = await KubernetesApiServer.start(t);
  const access = { apiServer: api.url, serviceAccountDirectory: api.directory };
  const config = configured(...flags);
  const nobody = await collect(examineKubernetes(config, signal, access));
  t.match(nobody, [
    { status: 'warning', found: 'permitted; 0 instances found', remedy: /starts with spin-clouddriver/ },
  ]);

  api.store.put('endpointslices', endpointSlice({ service: 'spin-clouddriver', pods }));
  const both = await collect(examineKubernetes(config, signal, access));
  t.match(both, [{ status: 'ok', found: 'permitted; 2 instances found: gateway-1, gateway-2' }]);
});

test('not permitted: the Role to apply is printed', async (t) => {
  const api = await KubernetesApiServer.start(t);
  api.permissions.clear();
  const access = { apiServer: api.url, serviceAccountDirectory: api.directory };
  const [finding] = await collect(examineKubernetes(configured(...flags), signal, access));
  t.equal(finding?.status, 'failed');
  t.match(finding?.found, /^not permitted to list and watch endpointslices or endpoints in namespace spinnaker$/);
  t.match(
    finding?.remedy,
    /^Apply this:\n---\napiVersion: rbac.authorization.k8s.io\/v1\nkind: Role\n[^]*kind: RoleBinding\n/,
  );
  t.notMatch(finding?.remedy, /undefined/);
});

test('outside of Kubernetes', async (t) => {
  const access = { serviceAccountDirectory: '/no/such/directory' };
  const findings = await collect(examineKubernetes(configured(...flags), signal, access));
  t.match(findings, [{ status: 'failed', found: /ENOENT/, remedy: /kubeconfigFile/ }]);
});

test('this instance is expected among those that are found, and not all of many are listed', (t) => {
  const outcome = membersOutcome(
    Array.from({ length: 12 }, (_, index) => `other-${String(index)}`),
    configured(...flags),
  );
  t.equal(outcome.status, 'warning');
  t.match(
    outcome.found,
    /^permitted; 12 instances found: other-0, .*other-9, \.\.\.; gateway-1 \(this one\) is not among them$/,
  );
  t.end();
});
