/** Pairs of kinds that charts and operators bring, and of fields that merge in a way of their own. */

import {
  clusterWide,
  configMaps,
  containers,
  deployments,
  job,
  labels,
  pair,
  pod,
  pods,
  port,
  services,
  widgets,
  type Pair,
} from './manifest-shapes.js';

const webhook = (name: string, more: object = {}) => ({
  name,
  admissionReviewVersions: ['v1'],
  sideEffects: 'None',
  failurePolicy: 'Ignore',
  clientConfig: { url: 'https://127.0.0.1:1/' },
  rules: [{ apiGroups: ['none.example.org'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['nothing'] }],
  ...more,
});
const endpoint = (address: string, more: object = {}) => ({ addresses: [address], ...more });

export const morePairs: Readonly<Record<string, Pair>> = {
  'validating webhooks: one goes, one comes, one moves': clusterWide(
    'admissionregistration.k8s.io/v1',
    'ValidatingWebhookConfiguration',
    [
      { webhooks: [webhook('a.example.com'), webhook('b.example.com', { timeoutSeconds: 3 })] },
      { webhooks: [webhook('b.example.com'), webhook('c.example.com', { matchPolicy: 'Exact' })] },
    ],
  ),
  'mutating webhooks: the authority that an injector wrote stays': clusterWide(
    'admissionregistration.k8s.io/v1',
    'MutatingWebhookConfiguration',
    [
      { webhooks: [webhook('a.example.com')] },
      { webhooks: [webhook('a.example.com', { reinvocationPolicy: 'IfNeeded' })] },
    ],
  ),
  'storage class': clusterWide('storage.k8s.io/v1', 'StorageClass', [
    { provisioner: 'example.com/disk', allowVolumeExpansion: true, parameters: { type: 'ssd' } },
    { provisioner: 'example.com/disk', allowVolumeExpansion: false, parameters: { type: 'ssd' } },
  ]),
  'ingress class': clusterWide('networking.k8s.io/v1', 'IngressClass', [
    { spec: { controller: 'example.com/a' }, metadata: { annotations: { 'example.com/a': 'true' } } },
    { spec: { controller: 'example.com/a', parameters: { kind: 'Widget', name: 'w', scope: 'Cluster' } } },
  ]),
  'runtime class': clusterWide('node.k8s.io/v1', 'RuntimeClass', [
    { handler: 'gvisor', overhead: { podFixed: { cpu: '250m' } } },
    { handler: 'gvisor' },
  ]),
  'CSI driver': clusterWide('storage.k8s.io/v1', 'CSIDriver', [
    { spec: { attachRequired: false, volumeLifecycleModes: ['Persistent', 'Ephemeral'] } },
    { spec: { attachRequired: false, tokenRequests: [{ audience: 'a' }], requiresRepublish: true } },
  ]),
  'admission policy': clusterWide('admissionregistration.k8s.io/v1', 'ValidatingAdmissionPolicy', [
    {
      spec: {
        matchConstraints: {
          resourceRules: [
            { apiGroups: ['apps'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['deployments'] },
          ],
        },
        validations: [{ expression: 'object.spec.replicas <= 5', message: '<= 5 & no more' }],
      },
    },
    {
      spec: {
        failurePolicy: 'Ignore',
        matchConstraints: {
          resourceRules: [
            { apiGroups: ['apps'], apiVersions: ['v1'], operations: ['UPDATE', 'CREATE'], resources: ['deployments'] },
          ],
        },
        validations: [{ expression: 'object.spec.replicas > 1' }],
      },
    },
  ]),
  'lease: times with microseconds': pair('coordination.k8s.io/v1', 'Lease', [
    { spec: { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: '2024-01-01T00:00:00.000001Z' } },
    { spec: { holderIdentity: 'b', leaseDurationSeconds: 15 } },
  ]),
  'endpoint slice': pair('discovery.k8s.io/v1', 'EndpointSlice', [
    {
      addressType: 'IPv4',
      endpoints: [endpoint('10.0.0.1'), endpoint('10.0.0.2', { hostname: 'b' })],
      ports: [{ name: 'a', port: 80 }],
    },
    { addressType: 'IPv4', endpoints: [endpoint('10.0.0.2')], ports: [{ name: '', port: 81, protocol: 'UDP' }] },
  ]),
  'replica set': pair('apps/v1', 'ReplicaSet', [
    { spec: { replicas: 0, selector: { matchLabels: labels }, template: pod() } },
    { spec: { replicas: 0, selector: { matchLabels: labels }, template: pod({ tty: true }), minReadySeconds: 3 } },
  ]),
  'pod template': pair('v1', 'PodTemplate', [
    { template: pod({ env: [{ name: 'A', value: '1' }] }) },
    { template: pod({ env: [{ name: 'B', value: '' }] }) },
  ]),
  'replication controller': pair('v1', 'ReplicationController', [
    { spec: { replicas: 0, selector: labels, template: pod() } },
    { spec: { replicas: 0, selector: labels, template: pod({ image: 'other:2', stdin: true }) } },
  ]),
  'job: a policy of failures': pair('batch/v1', 'Job', [
    {
      spec: job({
        podFailurePolicy: { rules: [{ action: 'FailJob', onExitCodes: { operator: 'In', values: [42] } }] },
      }),
    },
    { spec: job({ parallelism: 2 }) },
  ]),
  'service: one number, two protocols (DNS)': services(
    { ports: [port('dns', 53, { protocol: 'UDP' }), port('dns-tcp', 53, { protocol: 'TCP' })] },
    { ports: [port('dns-tcp', 53, { protocol: 'TCP', targetPort: 5353 }), port('dns', 53, { protocol: 'UDP' })] },
  ),
  'service: session affinity goes': services(
    {
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
      ports: [port('a', 80)],
    },
    { sessionAffinity: 'None', ports: [port('a', 80)] },
  ),
  'deployment: ports of the host': containers(
    { ports: [{ containerPort: 80, hostPort: 8080 }] },
    { ports: [{ containerPort: 80, name: 'web' }] },
  ),
  'deployment: what Helm writes': deployments(
    {
      template: pod(
        { securityContext: {}, resources: {}, env: null },
        { nodeSelector: null, affinity: null, tolerations: null },
      ),
    },
    { template: pod({ securityContext: {}, resources: {} }, { nodeSelector: {}, affinity: {}, tolerations: [] }) },
  ),
  'deployment: security of the pod': pods(
    {
      securityContext: {
        fsGroup: 1,
        sysctls: [{ name: 'net.core.somaxconn', value: '1024' }],
        supplementalGroups: [2, 3],
      },
    },
    { securityContext: { fsGroup: 1, supplementalGroups: [3, 4], seccompProfile: { type: 'RuntimeDefault' } } },
  ),
  'deployment: a side-car that restarts': pods(
    {
      initContainers: [
        { name: 'log', image: 'l', restartPolicy: 'Always', startupProbe: { exec: { command: ['true'] } } },
      ],
    },
    {
      initContainers: [
        { name: 'first', image: 'f' },
        { name: 'log', image: 'l', restartPolicy: 'Always' },
      ],
    },
  ),
  'deployment: a volume that is claimed for each pod': pods(
    {
      volumes: [
        {
          name: 'v',
          ephemeral: {
            volumeClaimTemplate: {
              spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
            },
          },
        },
      ],
    },
    { volumes: [{ name: 'v', emptyDir: { medium: 'Memory', sizeLimit: '64Mi' } }] },
  ),
  'deployment: an operator scaled it, and restarted it': deployments(
    { template: pod() },
    { template: pod({ args: ['--x'] }) },
    { spec: { replicas: 4, template: { metadata: { annotations: { 'kubectl.kubernetes.io/restartedAt': 'now' } } } } },
  ),
  'config map: keys that JavaScript knows': configMaps(
    { data: { constructor: 'a', toString: 'b', hasOwnProperty: 'c', ['__proto__']: 'd' } },
    { data: { constructor: 'x', valueOf: 'd', ['__proto__']: 'e' } },
  ),
  'custom resource: numbers at the edges of doubles': widgets(
    { a: 4503599627370495.5, b: 1e21, c: 1e-7, d: -0.1 },
    { a: 9007199254740991, b: 1e22, c: 0.1 },
  ),
};
