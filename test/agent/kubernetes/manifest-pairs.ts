/**
 * Manifests of the shapes that people deploy, in two versions each: fields go and come, orders change, nulls, defaults that
 * are written out, unions, merge keys that repeat. Names and namespaces are filled in by the test.
 */

import {
  clusterWide,
  configMaps,
  container,
  containers,
  deployments,
  env,
  ingressPath,
  init,
  job,
  labels,
  mount,
  mounted,
  pair,
  pod,
  pods,
  port,
  probe,
  rule,
  services,
  template,
  volume,
  widgets,
  type Pair,
} from './manifest-shapes.js';

export const pairs: Readonly<Record<string, Pair>> = {
  'deployment: image': containers({ image: 'a:1' }, { image: 'a:2' }),
  'deployment: variables go, come and change': containers(env('A', 'B', 'C'), {
    env: [{ name: 'C', value: 'x' }, ...env('D').env],
  }),
  'deployment: the order of variables alone': containers(env('A', 'B', 'C'), env('C', 'A', 'B')),
  'deployment: a variable that refers to one before': containers(
    { env: [...env('A').env, { name: 'B', value: '$(A)' }] },
    { env: [{ name: 'B', value: '$(A)' }, ...env('A').env] },
  ),
  'deployment: a value becomes a reference': containers(env('A'), {
    env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }],
  }),
  'deployment: a reference becomes a value': containers(
    { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 's', key: 'k' } } }] },
    env('A'),
  ),
  'deployment: all variables go': containers(env('A', 'B'), {}),
  'deployment: an empty list of variables': containers(env('A', 'B'), { env: [] }),
  'deployment: envFrom': containers(
    { envFrom: [{ configMapRef: { name: 'a' } }] },
    { envFrom: [{ secretRef: { name: 'b' } }] },
  ),
  'deployment: ports': containers(
    { ports: [{ name: 'http', containerPort: 80 }, { containerPort: 81 }] },
    {
      ports: [
        { name: 'web', containerPort: 80 },
        { containerPort: 82, protocol: 'TCP' },
      ],
    },
  ),
  'deployment: command and arguments': containers({ command: ['a', 'b'], args: ['c'] }, { command: ['b', 'a'] }),
  'deployment: probes': containers(
    { livenessProbe: probe('/live'), readinessProbe: probe('/ready') },
    { livenessProbe: { tcpSocket: { port: 80 } }, startupProbe: probe('/start') },
  ),
  'deployment: the kind of a probe': containers(
    { livenessProbe: probe('/live') },
    { livenessProbe: { exec: { command: ['true'] } } },
  ),
  'deployment: resources': containers(
    { resources: { limits: { cpu: '500m', memory: '1Gi' }, requests: { cpu: '0.1' } } },
    { resources: { limits: { memory: '1024Mi' } } },
  ),
  'deployment: life cycle': containers(
    { lifecycle: { preStop: { exec: { command: ['sleep', '5'] } } } },
    { lifecycle: { preStop: { sleep: { seconds: 5 } } } },
  ),
  'deployment: security of the container': containers(
    { securityContext: { runAsNonRoot: true, capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } } },
    { securityContext: { runAsUser: 1000, capabilities: { drop: ['ALL'] } } },
  ),
  'deployment: a sidecar of somebody else stays': deployments(
    { template: template({ containers: [container(), { name: 'b', image: 'b' }] }) },
    { template: template({ containers: [{ name: 'c', image: 'c' }, container()] }) },
    {
      spec: {
        template: { spec: { containers: [{ name: 'proxy', image: 'envoy' }, container(), { name: 'b', image: 'b' }] } },
      },
    },
  ),
  'deployment: the order of containers alone': deployments(
    { template: template({ containers: [container(), { name: 'b', image: 'b' }] }) },
    { template: template({ containers: [{ name: 'b', image: 'b' }, container()] }) },
  ),
  'deployment: the order of init containers alone': pods(init('a', 'b', 'c'), init('c', 'b', 'a')),
  'deployment: init containers go and come': pods(init('a', 'b'), init('c', 'b')),
  'deployment: init containers all go': pods(init('a'), {}),
  'deployment: volumes change their kind': pods(
    { volumes: [volume('v', { emptyDir: {} }), volume('w', { secret: { secretName: 's', defaultMode: 256 } })] },
    { volumes: [volume('v', { configMap: { name: 'c' } }), volume('x', { hostPath: { path: '/x' } })] },
  ),
  'deployment: volume mounts': deployments(
    { template: pod({ volumeMounts: [mount('/a'), mount('/b', { readOnly: true })] }, mounted) },
    { template: pod({ volumeMounts: [mount('/b')] }, mounted) },
  ),
  'deployment: projected volumes': pods(
    { volumes: [volume('v', { projected: { sources: [{ secret: { name: 'a' } }, { configMap: { name: 'b' } }] } })] },
    { volumes: [volume('v', { projected: { sources: [{ serviceAccountToken: { path: 't' } }] } })] },
  ),
  'deployment: pull secrets': pods(
    { imagePullSecrets: [{ name: 'a' }, { name: 'b' }] },
    { imagePullSecrets: [{ name: 'b' }, { name: 'c' }] },
  ),
  'deployment: tolerations and affinity': pods(
    {
      tolerations: [{ key: 'a', operator: 'Exists' }],
      affinity: {
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: { topologyKey: 'zone' } }],
        },
      },
    },
    { tolerations: [{ key: 'b', value: 'x' }], nodeSelector: { disk: 'ssd' } },
  ),
  'deployment: topology spread': pods(
    { topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' }] },
    { topologySpreadConstraints: [{ maxSkew: 2, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway' }] },
  ),
  'deployment: host aliases': pods(
    { hostAliases: [{ ip: '10.0.0.1', hostnames: ['a'] }] },
    {
      hostAliases: [
        { ip: '10.0.0.1', hostnames: ['b', 'a'] },
        { ip: '10.0.0.2', hostnames: ['c'] },
      ],
    },
  ),
  'deployment: DNS': pods({ dnsPolicy: 'None', dnsConfig: { nameservers: ['1.1.1.1'], searches: ['a', 'b'] } }, {}),
  'deployment: service account, in both spellings': pods(
    { serviceAccount: 'a', serviceAccountName: 'a' },
    { serviceAccountName: 'b' },
  ),
  'deployment: replicas go': deployments({ replicas: 3 }, {}),
  'deployment: replicas that somebody else changed': deployments(
    { replicas: 3 },
    { replicas: 3, minReadySeconds: 1 },
    { spec: { replicas: 5 } },
  ),
  'deployment: replicas that nobody mentions': deployments({}, { minReadySeconds: 1 }, { spec: { replicas: 5 } }),
  'deployment: rolling update becomes recreate': deployments(
    { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 2 } } },
    { strategy: { type: 'Recreate' } },
  ),
  'deployment: recreate becomes rolling update': deployments(
    { strategy: { type: 'Recreate' } },
    { strategy: { rollingUpdate: { maxSurge: '25%' }, type: 'RollingUpdate' } },
  ),
  'deployment: the strategy goes': deployments(
    { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 2 } } },
    {},
  ),
  'deployment: nulls': deployments(
    { replicas: null, strategy: null, template: pod({ env: null, resources: { limits: null }, command: null }) },
    { replicas: 2, paused: null, template: pod({ ...env('A'), resources: null }) },
  ),
  'deployment: values become null': deployments(
    { replicas: 2, minReadySeconds: 5 },
    { replicas: null, minReadySeconds: null },
  ),
  'deployment: defaults, written out': deployments(
    {},
    {
      replicas: 1,
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      template: pod({ imagePullPolicy: 'IfNotPresent', terminationMessagePolicy: 'File' }),
    },
  ),
  'deployment: the selector changes, which is refused': deployments(
    {},
    { selector: { matchLabels: { app: 'other' } } },
  ),
  'config map: keys go and come': configMaps(
    { data: { a: '1', b: '2' } },
    { data: { b: '3', c: '4' } },
    { data: { theirs: 'x' } },
  ),
  'config map: binary data': configMaps(
    { binaryData: { a: 'AAEC/w==' } },
    { binaryData: { b: '/wA=' }, data: { a: 'text' } },
  ),
  'config map: signs of HTML, other alphabets, numbers as keys': configMaps(
    { data: { page: '<a href="x">&amp;</a>\u2028', '10': 'ten', '9': 'nine', text: 'größer 🎉\n' } },
    { data: { page: '<b>', '10': 'ten', '9': '9' } },
  ),
  'config map: data goes': configMaps({ data: { a: '1' } }, {}),
  'config map: empty and null': configMaps({ data: {} }, { data: null }),
  'config map: labels and annotations': configMaps(
    { metadata: { labels: { a: '1', b: '2' }, annotations: { 'example.com/a': '<1>' } } },
    { metadata: { labels: { b: '3' } } },
    { metadata: { labels: { theirs: 'x' }, annotations: { theirs: 'x' } } },
  ),
  'config map: null labels': configMaps(
    { metadata: { labels: { a: null, b: '1' }, annotations: { c: null } }, data: { x: '1' } },
    { metadata: { labels: { a: '2', b: null } }, data: { x: null, y: '1' } },
  ),
  'config map: finalizers': configMaps(
    { metadata: { finalizers: ['example.com/a', 'example.com/b'] } },
    { metadata: { finalizers: ['example.com/c', 'example.com/b'] } },
    { metadata: { finalizers: ['example.com/a', 'example.com/b', 'example.com/theirs'] } },
  ),
  'config map: immutable': configMaps({ data: { a: '1' }, immutable: true }, { data: { a: '2' }, immutable: true }),
  'secret: data and stringData': pair('v1', 'Secret', [
    { type: 'Opaque', data: { a: 'MQ==' }, stringData: { b: 'two' } },
    { data: { a: 'Mg==' }, stringData: { c: 'three' } },
  ]),
  'secret: TLS': pair('v1', 'Secret', [
    { type: 'kubernetes.io/tls', data: { 'tls.crt': 'YQ==', 'tls.key': 'Yg==' } },
    { type: 'kubernetes.io/tls', data: { 'tls.crt': 'Yw==', 'tls.key': 'Yg==' } },
  ]),
  'service: ports': services(
    { ports: [port('a', 80, { targetPort: 8080 }), port('b', 81)] },
    { ports: [port('b', 81, { targetPort: 'web' }), port('c', 82)] },
  ),
  'service: a headless one': services(
    { clusterIP: 'None', ports: [port('a', 80)] },
    { clusterIP: 'None', publishNotReadyAddresses: true, ports: [port('a', 80)] },
  ),
  'service: the selector': services(
    { selector: { app: 'a', tier: 'x' }, ports: [port('a', 80)] },
    { selector: { app: 'b' }, ports: [port('a', 80)] },
  ),
  'service: an external name': services(
    { type: 'ExternalName', externalName: 'a.example.com', selector: null },
    { type: 'ExternalName', externalName: 'b.example.com' },
  ),
  'service: source ranges': services(
    { type: 'LoadBalancer', loadBalancerSourceRanges: ['10.0.0.0/8', '192.168.0.0/16'], ports: [port('a', 80)] },
    { type: 'LoadBalancer', loadBalancerSourceRanges: ['192.168.0.0/16', '10.0.0.0/8'], ports: [port('a', 80)] },
  ),
  'stateful set': pair('apps/v1', 'StatefulSet', [
    { spec: { serviceName: 'db', replicas: 1, selector: { matchLabels: labels }, template: pod(env('A')) } },
    {
      spec: {
        serviceName: 'db',
        selector: { matchLabels: labels },
        template: pod(env('B', 'A')),
        updateStrategy: { type: 'OnDelete', rollingUpdate: null },
      },
    },
  ]),
  'daemon set': pair('apps/v1', 'DaemonSet', [
    {
      spec: {
        selector: { matchLabels: labels },
        template: pod({}, { hostNetwork: true, tolerations: [{ operator: 'Exists' }] }),
      },
    },
    {
      spec: {
        selector: { matchLabels: labels },
        template: pod(),
        updateStrategy: { rollingUpdate: { maxUnavailable: 2 } },
      },
    },
  ]),
  job: pair('batch/v1', 'Job', [
    { spec: job({ backoffLimit: 3, ttlSecondsAfterFinished: 60 }) },
    { spec: job({ ttlSecondsAfterFinished: 90, suspend: true }) },
  ]),
  'cron job': pair('batch/v1', 'CronJob', [
    { spec: { schedule: '0 3 * * *', concurrencyPolicy: 'Forbid', jobTemplate: { spec: job() } } },
    { spec: { schedule: '*/5 * * * *', timeZone: 'Europe/Berlin', jobTemplate: { spec: job({ backoffLimit: 1 }) } } },
  ]),
  ingress: pair('networking.k8s.io/v1', 'Ingress', [
    {
      metadata: { annotations: { 'nginx.ingress.kubernetes.io/rewrite-target': '/$1' } },
      spec: {
        rules: [{ host: 'a.example.com', http: { paths: [ingressPath('/', 'a'), ingressPath('/b', 'b')] } }],
        tls: [{ hosts: ['a.example.com'], secretName: 's' }],
      },
    },
    {
      spec: {
        ingressClassName: 'nginx',
        rules: [{ host: 'a.example.com', http: { paths: [ingressPath('/b', 'c')] } }],
      },
    },
  ]),
  'horizontal pod autoscaler': pair('autoscaling/v2', 'HorizontalPodAutoscaler', [
    {
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'a' },
        minReplicas: 2,
        maxReplicas: 5,
      },
    },
    {
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'a' },
        maxReplicas: 9,
        metrics: [
          { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } } },
        ],
      },
    },
  ]),
  'pod disruption budget': pair('policy/v1', 'PodDisruptionBudget', [
    { spec: { minAvailable: 1, selector: { matchLabels: labels } } },
    { spec: { maxUnavailable: '50%', selector: { matchLabels: { app: 'b' } } } },
  ]),
  'network policy': pair('networking.k8s.io/v1', 'NetworkPolicy', [
    {
      spec: { podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: labels } }], ports: [{ port: 80 }] }] },
    },
    { spec: { podSelector: { matchLabels: labels }, policyTypes: ['Ingress', 'Egress'], egress: [{}] } },
  ]),
  role: pair('rbac.authorization.k8s.io/v1', 'Role', [
    { rules: [rule(['get', 'list'])] },
    { rules: [rule(['list', 'get']), rule(['*'], ['secrets'])] },
  ]),
  'role binding': pair('rbac.authorization.k8s.io/v1', 'RoleBinding', [
    {
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'a' },
      subjects: [{ kind: 'ServiceAccount', name: 'a', namespace: 'default' }],
    },
    {
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'a' },
      subjects: [{ kind: 'Group', name: 'g', apiGroup: 'rbac.authorization.k8s.io' }],
    },
  ]),
  'cluster role': clusterWide('rbac.authorization.k8s.io/v1', 'ClusterRole', [
    { rules: [rule(['get'])] },
    { aggregationRule: { clusterRoleSelectors: [{ matchLabels: labels }] }, rules: [] },
  ]),
  'service account': pair('v1', 'ServiceAccount', [
    { imagePullSecrets: [{ name: 'a' }], secrets: [{ name: 'x' }] },
    { imagePullSecrets: [{ name: 'b' }, { name: 'a' }], automountServiceAccountToken: false },
  ]),
  'persistent volume': clusterWide('v1', 'PersistentVolume', [
    { spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/a' } } },
    {
      spec: {
        capacity: { storage: '2Gi' },
        accessModes: ['ReadWriteOnce', 'ReadOnlyMany'],
        hostPath: { path: '/a' },
        persistentVolumeReclaimPolicy: 'Delete',
      },
    },
  ]),
  'persistent volume claim': pair('v1', 'PersistentVolumeClaim', [
    { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } },
    { metadata: { labels }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } },
  ]),
  'priority class': clusterWide('scheduling.k8s.io/v1', 'PriorityClass', [
    { value: 1000, description: 'a' },
    { value: 1000 },
  ]),
  'resource quota': pair('v1', 'ResourceQuota', [
    { spec: { hard: { pods: '1000', 'requests.cpu': '1k' } } },
    { spec: { hard: { pods: '2000' } } },
  ]),
  'limit range': pair('v1', 'LimitRange', [
    { spec: { limits: [{ type: 'Pod', max: { cpu: '900' } }] } },
    {
      spec: {
        limits: [
          { type: 'Pod', max: { cpu: '800' } },
          { type: 'Container', max: { cpu: '800' } },
        ],
      },
    },
  ]),
  'custom resource: lists are replaced': widgets(
    { parts: [{ name: 'a' }, { name: 'b' }], colour: 'red' },
    { parts: [{ name: 'b', size: 2 }] },
    { spec: { shape: 'round' } },
  ),
  'custom resource: the order of a list alone': widgets(
    { parts: ['a', 'b'], matrix: [[1, 2], [3]] },
    { parts: ['b', 'a'], matrix: [[3], [1, 2]] },
  ),
  'custom resource: nulls': widgets({ a: null, b: { c: null, d: 1 }, e: 1 }, { b: { c: 2, d: null }, e: null }),
  'custom resource: a null that was applied before, and what somebody else set': widgets(
    { a: null, b: 1 },
    { a: null, b: 2 },
    { spec: { a: 'theirs' } },
  ),
  'custom resource: numbers, texts and objects change places': widgets(
    { a: 1, b: 'x', c: { d: true }, f: 0.5 },
    { a: 'x', b: { c: 1 }, c: [1], f: 1.5e-7 },
  ),
  'custom resource: empty maps': widgets({ a: {}, b: { c: {} } }, { a: { x: {} }, b: {} }),
};
