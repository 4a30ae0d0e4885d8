/** The values of helm/agent-gateway. */

import Type, { type TObject } from 'typebox';
import { aliases, unused } from '../../src/gateway/config/foreign.js';
import { leaves, sections } from '../../src/gateway/config/leaves.js';
import { configurationSchema } from './configuration-schema.js';
import { disruption, image, monitoring, naming, pod, probe, serviceAccount } from './shared-values.js';
import * as values from './values.js';

const {
  choice,
  count,
  existingSecret,
  flag,
  key,
  labels,
  object,
  objects,
  optionalCount,
  section,
  share,
  text,
  texts,
} = values;

/** @param clientAuth what it may be: probes of the kubelet show no certificate */
const tls = (port: string, clientAuth: string[], more = '') =>
  existingSecret(
    `TLS of port ${port} from a Secret, mounted as files (\`kubernetes.io/tls\`, as cert-manager writes it).${more}`,
    {
      certificateKey: key('Key of the certificate and its chain.', 'tls.crt'),
      privateKeyKey: key('Key of the private key.', 'tls.key'),
      privateKeyPasswordKey: key('Key of the password of the private key.'),
      trustKey: key('Key of the authorities that the other side is checked against.', 'ca.crt'),
      revocationListKey: key('Key of the certificate revocation lists of those authorities.'),
      clientAuth: choice('Whether clients have to show a certificate.', 'NONE', clientAuth),
      certManager: section('Have cert-manager write that Secret.', {
        enabled: flag('Make a Certificate.', false),
        issuerRef: object('Who issues it: `{name: ..., kind: Issuer}`.'),
        dnsNames: texts('Names in it, beside those of the Service.'),
        duration: text('How long it is valid.', '2160h'),
        renewBefore: text('How long before its end it is renewed.', '720h'),
      }),
    },
  );

export const gatewayValues: TObject = section('', {
  replicaCount: count('Replicas, unless something scales them.', 3, 0, 1_000),
  ...naming('agent-gateway'),
  ...image,
  config: Type.Unsafe({
    ...configurationSchema({ leaves, sections, aliases, unused }),
    description:
      "The gateway's configuration file (docs/configuration.md), in the shape of clouddriver.yml: a fragment of one can be " +
      'pasted in. It ends in a ConfigMap, so secrets are refused here: name Secrets below.',
    default: { kubesvc: { cluster: 'kubernetes' } },
  }),
  sql: section('The database. What a Secret gives wins over `config.sql`.', {
    ...existingSecret('', {
      urlKey: key('Key of the URL (`mysql://host:3306/database`, also as JDBC has it).'),
      userKey: key('Key of the user.'),
      passwordKey: key('Key of the password.', 'password'),
      migrationUserKey: key('Key of the user that may create and alter tables.'),
      migrationPasswordKey: key('Key of the password of that user.'),
    }).properties,
    tls: existingSecret('TLS to the database, with PEM files from a Secret.', {
      trustKey: key("Key of the authorities of the server's certificate.", 'ca.crt'),
      certificateKey: key('Key of the certificate to show.'),
      privateKeyKey: key('Key of its private key.'),
    }),
  }),
  redis: existingSecret('Redis. What a Secret gives wins over `config.redis`.', {
    connectionKey: key('Key of the URL (`redis://host:6379`).'),
    passwordKey: key('Key of the password.', 'password'),
  }),
  auth: existingSecret(
    'Files that say who may come in, from a Secret that is mounted as `/etc/agent-gateway/auth`: tokens, key sets, policies, secrets of instances (docs/security.md). `config` names them, such as `kubesvc.grpc.auth.policyFile: /etc/agent-gateway/auth/agents.yml`.',
    {},
  ),
  dynamicAccounts: section('What dynamic accounts need, where `config.kubesvc.dynamicAccounts.enabled` is set.', {
    encryptionKey: existingSecret('The key that kubeconfigs are stored with.', {
      key: key('Key of it.', 'encryption-key'),
    }),
    kubeconfigSecrets: texts(
      'Secrets with kubeconfigs, mounted as `kubeconfigDirectory`: `file:SECRET/KEY` names one.',
    ),
    readableSecrets: texts('Secrets of this namespace that `encryptedFile:k8s!n:NAME!k:KEY` may name.'),
  }),
  grpc: section('The port of the agents.', {
    service: section('The Service that agents dial. examples/ has what the big clouds need for HTTP/2.', {
      name: text('Its name; empty: the name of the objects and `-grpc`.'),
      type: choice('Its type.', 'LoadBalancer', ['ClusterIP', 'LoadBalancer', 'NodePort']),
      port: count('Its port.', 9091, 1, 65_535),
      nodePort: optionalCount('The port of the nodes, for NodePort and LoadBalancer.', 1, 65_535),
      annotations: labels('Its annotations; those for load balancers go here.'),
      loadBalancerClass: text('Class of the load balancer.'),
      loadBalancerSourceRanges: texts('Networks that may connect, where the load balancer can tell.'),
      externalTrafficPolicy: choice('`Local` keeps the addresses of agents.', 'Cluster', ['Cluster', 'Local']),
    }),
    tls: tls('9091', ['NONE', 'OPTIONAL', 'REQUIRE']),
  }),
  rest: section('The port of callers and of the other replicas.', {
    service: section(
      'A ClusterIP whose name starts with `clouddriverServiceNamePrefix`: replicas find each other by it.',
      {
        name: text('Its name; empty: the prefix and the name of the objects.'),
        port: count('Its port.', 7002, 1, 65_535),
        annotations: labels('Its annotations.'),
      },
    ),
    tls: tls(
      '7002',
      ['NONE', 'OPTIONAL'],
      ' Replicas call each other by it, so the certificate has to be for `*.NAMESPACE.pod.cluster.local` too, by an authority in `trustKey`.',
    ),
  }),
  ...serviceAccount,
  rbac: section('Permissions.', { create: flag('Make the Role that discovery needs, and its binding.', true) }),
  ...pod({ requests: { cpu: '500m', memory: '512Mi' }, limits: { memory: '1536Mi' } }),
  extraArgs: texts('More flags of the program, such as `--logging.level=debug`; they win over everything else.'),
  topologySpreadConstraints: objects(
    'How replicas spread; without a labelSelector they get that of the pods.',
    ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map((topologyKey) => {
      return { maxSkew: 1, topologyKey, whenUnsatisfiable: 'ScheduleAnyway' };
    }),
  ),
  strategy: object('How a new version replaces the old one: never with fewer replicas.', {
    type: 'RollingUpdate',
    rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
  }),
  minReadySeconds: count('How long a new replica has to be ready before the next one is replaced.', 5, 0, 3_600),
  ...disruption,
  probes: section('Probes of port 7002.', {
    startup: probe('`/healthz`; five minutes, for a database that is migrated at the first start.', {
      ...{ periodSeconds: 2, failureThreshold: 150, timeoutSeconds: 2 },
    }),
    liveness: probe('`/healthz`.', { periodSeconds: 10, failureThreshold: 6, timeoutSeconds: 5 }),
    readiness: probe('`/readyz`; the other replicas see it too.', {
      ...{ periodSeconds: 2, failureThreshold: 2, timeoutSeconds: 2 },
    }),
  }),
  podDisruptionBudget: section('How many replicas may leave at a time when nodes are drained.', {
    enabled: flag('Make a PodDisruptionBudget, where there is more than one replica.', true),
    maxUnavailable: share('So many may be missing; empty when `minAvailable` is set.', 1),
    minAvailable: share('So many have to be there.', null),
  }),
  autoscaling: section('HorizontalPodAutoscaler.', {
    enabled: flag('Scale by load.', false),
    minReplicas: count('At least so many.', 3, 1, 1_000),
    maxReplicas: count('At most so many.', 10, 1, 1_000),
    cpuUtilization: optionalCount('Mean CPU, in percent of the request.', 1, 1_000, 70),
    agentsPerReplica: optionalCount(
      'Mean of `agent_gateway_agents_connected`, where an adapter serves metrics of pods (custom.metrics.k8s.io).',
      1,
    ),
    operationsPerReplica: optionalCount('Mean of `agent_gateway_operations_pending`, likewise.', 1),
    behavior: object('How fast. The default takes one replica away every two minutes: agents have to move.', {
      scaleDown: { stabilizationWindowSeconds: 300, policies: [{ type: 'Pods', value: 1, periodSeconds: 120 }] },
    }),
    keda: section('KEDA in place of it, which asks Prometheus itself.', {
      enabled: flag('Make a ScaledObject from the numbers above.', false),
      prometheusAddress: text('URL of Prometheus, such as `http://prometheus.monitoring:9090`.'),
      selector: text('Labels of the metrics, such as `job="agent-gateway"`; empty: the namespace of the release.'),
      pollingInterval: count('Seconds between two looks.', 30, 1, 3_600),
      authenticationRef: object('A TriggerAuthentication for Prometheus: `{name: ...}`.'),
    }),
  }),
  networkPolicy: section('Who may connect.', {
    enabled: flag('Make a NetworkPolicy.', true),
    agentsFrom: objects('Peers that may dial port 9091; empty: all.'),
    restFrom: objects('Peers that may call port 7002, beside the replicas themselves.', [{ podSelector: {} }]),
    egress: objects('Rules for what replicas may reach; empty: everything.'),
  }),
  metrics: section('Monitoring.', {
    ...monitoring('replica'),
    prometheusRule: section('The alerts of k8s/monitoring/alerts.yaml.', {
      enabled: flag('Make a PrometheusRule.', false),
      namespace: text('Where to make it; empty: the namespace of the release.'),
      labels: labels('Labels that your Prometheus selects by.'),
      runbookUrl: text('In front of `docs/runbook.md#...` in the alerts; empty: nothing.'),
    }),
    dashboard: section('The dashboard of k8s/monitoring/dashboard.json.', {
      enabled: flag('Make a ConfigMap for the sidecar of Grafana.', false),
      namespace: text('Where to make it; empty: the namespace of the release.'),
      labels: labels('Labels that the sidecar selects by.', { grafana_dashboard: '1' }),
    }),
  }),
});
