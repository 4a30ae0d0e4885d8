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
      trustKey: key('Key of the CAs that client certificates are verified against.', 'ca.crt'),
      revocationListKey: key('Key of the certificate revocation lists of those CAs.'),
      clientAuth: choice('Whether clients must present a certificate.', 'NONE', clientAuth),
      certManager: section('Have cert-manager create that Secret.', {
        enabled: flag('Create a Certificate.', false),
        issuerRef: object('Issuer of the certificate: `{name: ..., kind: Issuer}`.'),
        dnsNames: texts('DNS names to add to those of the Service.'),
        duration: text('Lifetime of the certificate.', '2160h'),
        renewBefore: text('Time before expiry at which it is renewed.', '720h'),
      }),
    },
  );

export const gatewayValues: TObject = section('', {
  replicaCount: count('Number of replicas, if autoscaling is off.', 3, 0, 1_000),
  ...naming('agent-gateway'),
  ...image,
  config: Type.Unsafe({
    ...configurationSchema({ leaves, sections, aliases, unused }),
    description:
      "The gateway's configuration file (docs/configuration.md), in the shape of clouddriver.yml: a fragment of one can be " +
      'pasted in. It is stored in a ConfigMap, so secrets are refused here: name Secrets below.',
    default: { kubesvc: { cluster: 'kubernetes' } },
  }),
  sql: section('The database. Values from a Secret override `config.sql`.', {
    ...existingSecret('', {
      urlKey: key('Key of the URL (`mysql://host:3306/database`, or a JDBC URL).'),
      userKey: key('Key of the user.'),
      passwordKey: key('Key of the password.', 'password'),
      migrationUserKey: key('Key of the user that may create and alter tables.'),
      migrationPasswordKey: key('Key of the password of that user.'),
    }).properties,
    tls: existingSecret('TLS to the database, with PEM files from a Secret.', {
      trustKey: key("Key of the CAs that the server's certificate is verified against.", 'ca.crt'),
      certificateKey: key('Key of the client certificate.'),
      privateKeyKey: key('Key of the private key of the client certificate.'),
    }),
  }),
  redis: existingSecret('Redis. Values from a Secret override `config.redis`.', {
    connectionKey: key('Key of the URL (`redis://host:6379`).'),
    passwordKey: key('Key of the password.', 'password'),
  }),
  auth: existingSecret(
    'Files for authentication and authorization, from a Secret that is mounted at `/etc/agent-gateway/auth`: tokens, key sets, policies, secrets of instances (docs/security.md). Name them in `config`, for example `kubesvc.grpc.auth.policyFile: /etc/agent-gateway/auth/agents.yml`.',
    {},
  ),
  dynamicAccounts: section('Secrets for dynamic accounts, if `config.kubesvc.dynamicAccounts.enabled` is true.', {
    encryptionKey: existingSecret('Key that encrypts stored kubeconfigs.', {
      key: key('Key of the Secret that holds it.', 'encryption-key'),
    }),
    kubeconfigSecrets: texts(
      'Secrets with kubeconfigs, mounted at `kubeconfigDirectory`. Refer to one as `file:SECRET/KEY`.',
    ),
    readableSecrets: texts('Secrets of this namespace that `encryptedFile:k8s!n:NAME!k:KEY` may name.'),
  }),
  spinnaker: section(
    'Spinnaker without a plugin (docs/spinnaker.md): accounts appear in Clouddriver by themselves, and its kubectl reaches them on port 7002, which must speak TLS (`rest.tls`).',
    {
      enabled: flag(
        'Sign account tokens, keep the accounts of Clouddriver up to date, tell it the CA in `rest.tls.trustKey`, and let it through the NetworkPolicy.',
        false,
      ),
      namespace: text('Namespace of Clouddriver.', 'spinnaker'),
      clouddriverUrl: text(
        'URL of Clouddriver, whose account store gets the accounts; empty: `http://spin-clouddriver.NAMESPACE:7002`. Without effect if `config` has `spinnaker.clouddriver.url` or `spinnaker.configServer.enabled`.',
      ),
      tokens: existingSecret(
        'Secret that signs account tokens. Empty: the chart makes one, which upgrades keep, and uninstalling, too. Tools that only render the chart, such as Argo CD, would make a new one each time: create it yourself.',
        { key: key('Key of the secrets, one per line; the first one signs.', 'secrets') },
      ),
    },
  ),
  grpc: section('The port of the agents.', {
    service: section('The Service that agents connect to. For HTTP/2 on AWS, Azure and Google Cloud see examples/.', {
      name: text('Its name; empty: the name of the other objects, followed by `-grpc`.'),
      type: choice('Its type.', 'LoadBalancer', ['ClusterIP', 'LoadBalancer', 'NodePort']),
      port: count('Its port.', 9091, 1, 65_535),
      nodePort: optionalCount('Node port, for the types NodePort and LoadBalancer.', 1, 65_535),
      annotations: labels('Its annotations, such as those for a load balancer.'),
      loadBalancerClass: text('Class of the load balancer.'),
      loadBalancerSourceRanges: texts('Networks that may connect, if the load balancer supports it.'),
      externalTrafficPolicy: choice('`Local` preserves the source addresses of agents.', 'Cluster', [
        'Cluster',
        'Local',
      ]),
    }),
    tls: tls('9091', ['NONE', 'OPTIONAL', 'REQUIRE']),
  }),
  rest: section('The port of callers and of the other replicas.', {
    service: section(
      'A ClusterIP Service, by which replicas find each other. Its name must start with `clouddriverServiceNamePrefix`.',
      {
        name: text('Its name; empty: the prefix, followed by the name of the other objects.'),
        port: count('Its port.', 7002, 1, 65_535),
        annotations: labels('Its annotations.'),
      },
    ),
    tls: tls(
      '7002',
      ['NONE', 'OPTIONAL'],
      ' Replicas call each other on this port, so the certificate must also be valid for `*.NAMESPACE.pod.cluster.local` and come from a CA in `trustKey`.',
    ),
  }),
  ...serviceAccount,
  rbac: section('Permissions.', { create: flag('Create the Role that discovery needs, and its RoleBinding.', true) }),
  ...pod({ requests: { cpu: '500m', memory: '512Mi' }, limits: { memory: '1536Mi' } }),
  extraArgs: texts('More command-line flags, such as `--logging.level=debug`. They override all other settings.'),
  topologySpreadConstraints: objects(
    'How replicas are spread. A constraint without a labelSelector gets that of the pods.',
    ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map((topologyKey) => {
      return { maxSkew: 1, topologyKey, whenUnsatisfiable: 'ScheduleAnyway' };
    }),
  ),
  strategy: object('How a new version replaces the old one. The default never runs fewer replicas.', {
    type: 'RollingUpdate',
    rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
  }),
  minReadySeconds: count('Seconds that a new replica must be ready before the next one is replaced.', 5, 0, 3_600),
  ...disruption,
  probes: section('Probes of port 7002.', {
    startup: probe('`/healthz`, for up to five minutes: the first start migrates the database.', {
      ...{ periodSeconds: 2, failureThreshold: 150, timeoutSeconds: 2 },
    }),
    liveness: probe('`/healthz`.', { periodSeconds: 10, failureThreshold: 6, timeoutSeconds: 5 }),
    readiness: probe('`/readyz`. The other replicas follow it, too.', {
      ...{ periodSeconds: 2, failureThreshold: 2, timeoutSeconds: 2 },
    }),
  }),
  podDisruptionBudget: section('Replicas that may be down at the same time when nodes are drained.', {
    enabled: flag('Create a PodDisruptionBudget if there is more than one replica.', true),
    maxUnavailable: share('Most replicas that may be unavailable. Leave it empty if `minAvailable` is set.', 1),
    minAvailable: share('Fewest replicas that must be available.', null),
  }),
  autoscaling: section('Autoscaling with a HorizontalPodAutoscaler.', {
    enabled: flag('Scale by load.', false),
    minReplicas: count('Fewest replicas.', 3, 1, 1_000),
    maxReplicas: count('Most replicas.', 10, 1, 1_000),
    cpuUtilization: optionalCount('Target mean CPU usage, in percent of the request.', 1, 1_000, 70),
    agentsPerReplica: optionalCount(
      'Target mean of `agent_gateway_agents_connected`. Needs an adapter that serves pod metrics (custom.metrics.k8s.io).',
      1,
    ),
    operationsPerReplica: optionalCount(
      'Target mean of `agent_gateway_operations_pending`. Needs the same adapter.',
      1,
    ),
    behavior: object(
      'How fast to scale. The default removes one replica every two minutes, because its agents have to move.',
      {
        scaleDown: { stabilizationWindowSeconds: 300, policies: [{ type: 'Pods', value: 1, periodSeconds: 120 }] },
      },
    ),
    keda: section('Autoscaling with KEDA instead, which queries Prometheus itself.', {
      enabled: flag('Create a ScaledObject from the numbers above.', false),
      prometheusAddress: text('URL of Prometheus, such as `http://prometheus.monitoring:9090`.'),
      selector: text(
        'Label selector of the metrics, such as `job="agent-gateway"`; empty: the namespace of the release.',
      ),
      pollingInterval: count('Seconds between two queries.', 30, 1, 3_600),
      authenticationRef: object('TriggerAuthentication for Prometheus: `{name: ...}`.'),
    }),
  }),
  networkPolicy: section('Who may connect.', {
    enabled: flag('Create a NetworkPolicy.', true),
    agentsFrom: objects('Peers that may connect to port 9091; empty: all.'),
    restFrom: objects('Peers that may connect to port 7002, in addition to the replicas.', [{ podSelector: {} }]),
    egress: objects('Egress rules of the replicas; empty: no restriction.'),
  }),
  metrics: section('Monitoring.', {
    ...monitoring('replica'),
    prometheusRule: section('The alerts of k8s/monitoring/alerts.yaml.', {
      enabled: flag('Create a PrometheusRule.', false),
      namespace: text('Namespace of the object; empty: that of the release.'),
      labels: labels('Labels by which your Prometheus selects it.'),
      runbookUrl: text('Prefix of `docs/runbook.md#...` in the alerts; empty: no prefix.'),
    }),
    dashboard: section('The dashboard of k8s/monitoring/dashboard.json.', {
      enabled: flag('Create a ConfigMap for the Grafana sidecar.', false),
      namespace: text('Namespace of the object; empty: that of the release.'),
      labels: labels('Labels by which the sidecar selects it.', { grafana_dashboard: '1' }),
    }),
  }),
});
