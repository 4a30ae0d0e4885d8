/** The values of helm/agent. */

import Type, { type TObject } from 'typebox';
import { aliases, unused } from '../../src/agent/configuration/foreign.js';
import { agentSchema } from '../../src/agent/configuration/schema.js';
import { agentConfigurationSchema } from './agent-configuration-schema.js';
import { disruption, image, naming, pod, probe, serviceAccount } from './shared-values.js';
import * as values from './values.js';

const { choice, count, existingSecret, flag, key, labels, object, objects, section, share, text, texts } = values;

export const agentValues: TObject = section('', {
  replicaCount: count(
    'Number of agents. Each serves all accounts. One agent caches an account; another takes over when it stops.',
    1,
    0,
    1_000,
  ),
  ...naming('agent'),
  ...image,
  config: Type.Unsafe({
    ...agentConfigurationSchema(agentSchema, aliases, unused),
    description:
      "The agent's configuration file (docs/agent-configuration.md), in the shape of Armory's agent. It is stored in a ConfigMap. " +
      'The agent reloads it without a restart. Secrets are refused here: name Secrets below.',
    default: { clouddriver: {}, kubernetes: { accounts: [] }, logging: { format: 'json' } },
  }),
  tls: existingSecret('TLS to the gateway, with files from a Secret. They override `config.clouddriver.tls`.', {
    certificateKey: key('Key of the client certificate, for mTLS; empty: no certificate.', 'tls.crt'),
    privateKeyKey: key('Key of the private key of the certificate.', 'tls.key'),
    trustKey: key("Key of the CAs that the gateway's certificate is verified against.", 'ca.crt'),
    serverName: text("Name in the gateway's certificate, if it differs from the name that agents connect to."),
    certManager: section('Have cert-manager create that Secret.', {
      enabled: flag('Create a Certificate.', false),
      issuerRef: object('Issuer of the certificate: `{name: ..., kind: Issuer}`.'),
      commonName: text('Common name, by which the gateway can identify agents; empty: the name of the other objects.'),
      duration: text('Lifetime of the certificate.', '2160h'),
      renewBefore: text('Time before expiry at which it is renewed.', '720h'),
    }),
  }),
  token: existingSecret(
    'Token that authenticates the agent: from a Secret, or issued by Kubernetes for the service account.',
    {
      key: key('Key of the Secret that holds it.', 'token'),
      projected: section('Instead of a Secret, a token of the service account that Kubernetes renews.', {
        enabled: flag('Mount it.', false),
        audience: text('Audience of the token, as the gateway expects it.', 'agent-gateway'),
        expirationSeconds: count('Lifetime of the token, in seconds.', 3_600, 600, 86_400),
      }),
    },
  ),
  kubeconfigSecrets: texts(
    'Secrets with kubeconfigs, mounted below /etc/agent-gateway/kubeconfigs/. Refer to one as `kubeConfigFile: .../SECRET/KEY`.',
  ),
  ...serviceAccount,
  rbac: section('Permissions of the service account, for accounts with `serviceAccount: true`.', {
    access: choice(
      'view: read everything except Secrets. deploy: everything except escalate, bind and impersonate. none: you bind roles yourself.',
      'view',
      ['none', 'view', 'deploy'],
    ),
    namespaces: texts('Namespaces that the permissions apply to; empty: the whole cluster.'),
    extraRules: objects('More rules, such as read access to custom resources.'),
  }),
  nodeOptions: text(
    'Options of Node.js. The default limits the heap, so that an agent with 20,000 objects stays below 150 MiB. If an agent serves hundreds of accounts, raise them together with the memory limit in `resources`.',
    '--max-old-space-size=128 --max-semi-space-size=8',
  ),
  ...pod({ requests: { cpu: '100m', memory: '192Mi' }, limits: { memory: '512Mi' } }),
  topologySpreadConstraints: objects(
    'How several agents are spread. A constraint without a labelSelector gets that of the pods.',
    [{ maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway' }],
  ),
  strategy: object('How a new version replaces the old one.', {
    type: 'RollingUpdate',
    rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
  }),
  ...disruption,
  probes: section('Probes of `config.server.port`.', {
    startup: probe('`/health`.', { periodSeconds: 2, failureThreshold: 60, timeoutSeconds: 2 }),
    liveness: probe('`/health`.', { periodSeconds: 10, failureThreshold: 6, timeoutSeconds: 5 }),
    readiness: probe('`/readyz`.', { periodSeconds: 5, failureThreshold: 3, timeoutSeconds: 2 }),
  }),
  podDisruptionBudget: section('Agents that may be down at the same time when nodes are drained.', {
    enabled: flag('Create a PodDisruptionBudget if there is more than one agent.', true),
    maxUnavailable: share('Most agents that may be unavailable.', 1),
  }),
  networkPolicy: section('Who may connect. Only Prometheus needs to, to read metrics.', {
    enabled: flag('Create a NetworkPolicy.', true),
    metricsFrom: objects('Peers that may read metrics; empty: all.'),
    egress: objects('Egress rules of the agents; empty: no restriction.'),
  }),
  metrics: section('Monitoring, if `config.prometheus.enabled` is true.', {
    podMonitor: section('For the Prometheus Operator.', {
      enabled: flag('Create a PodMonitor, so that Prometheus scrapes `/metrics` of every agent.', false),
      namespace: text('Namespace of the object; empty: that of the release.'),
      labels: labels('Labels by which your Prometheus selects it.'),
      interval: text('Time between two scrapes.', '30s'),
      scrapeTimeout: text('Time that one scrape may take.', '10s'),
      relabelings: objects('Relabeling of targets.'),
      metricRelabelings: objects('Relabeling of metrics.'),
    }),
  }),
});
