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
    'Agents. Each serves all accounts; one of them caches an account, the others take over when it goes.',
    1,
    0,
    1_000,
  ),
  ...naming('agent'),
  ...image,
  config: Type.Unsafe({
    ...agentConfigurationSchema(agentSchema, aliases, unused),
    description:
      "The agent's configuration file (docs/agent-configuration.md), in the shape of Armory's agent. It ends in a ConfigMap, whose " +
      'changes the agent follows without a restart. Secrets are refused here: name Secrets below.',
    default: { clouddriver: {}, kubernetes: { accounts: [] }, logging: { format: 'json' } },
  }),
  tls: existingSecret(
    'TLS to the gateway, with files from a Secret. What it gives wins over `config.clouddriver.tls`.',
    {
      certificateKey: key('Key of the certificate to show, for mTLS; empty: none.', 'tls.crt'),
      privateKeyKey: key('Key of its private key.', 'tls.key'),
      trustKey: key("Key of the authorities of the gateway's certificate.", 'ca.crt'),
      serverName: text("The name in the gateway's certificate, where it is another one than agents dial."),
      certManager: section('Have cert-manager write that Secret.', {
        enabled: flag('Make a Certificate.', false),
        issuerRef: object('Who issues it: `{name: ..., kind: Issuer}`.'),
        commonName: text('Common name, which the gateway may tell agents by; empty: the name of the objects.'),
        duration: text('How long it is valid.', '2160h'),
        renewBefore: text('How long before its end it is renewed.', '720h'),
      }),
    },
  ),
  token: existingSecret(
    'A token that says who the agent is: from a Secret, or one that Kubernetes makes for the service account.',
    {
      key: key('Key of it.', 'token'),
      projected: section('In place of a Secret, a token of the service account, renewed by Kubernetes.', {
        enabled: flag('Mount one.', false),
        audience: text('For whom it is; what the gateway expects.', 'agent-gateway'),
        expirationSeconds: count('How long one is valid.', 3_600, 600, 86_400),
      }),
    },
  ),
  kubeconfigSecrets: texts(
    'Secrets with kubeconfigs, mounted below /etc/agent-gateway/kubeconfigs/: `kubeConfigFile: .../SECRET/KEY` names one.',
  ),
  ...serviceAccount,
  rbac: section('What the service account may do, for accounts with `serviceAccount: true`.', {
    access: choice(
      'view: look, but not at Secrets. deploy: everything but escalate, bind and impersonate. none: you bind roles yourself.',
      'view',
      ['none', 'view', 'deploy'],
    ),
    namespaces: texts('In these namespaces only; empty: in the whole cluster.'),
    extraRules: objects('More rules, such as custom resources to look at.'),
  }),
  nodeOptions: text(
    'Options of Node.js. They bound the heap, so that an agent of 20,000 objects stays below 150 MiB; raise them together with the limit of memory in `resources` when an agent serves hundreds of accounts.',
    '--max-old-space-size=128 --max-semi-space-size=8',
  ),
  ...pod({ requests: { cpu: '100m', memory: '192Mi' }, limits: { memory: '512Mi' } }),
  topologySpreadConstraints: objects('How several agents spread; without a labelSelector they get that of the pods.', [
    { maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway' },
  ]),
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
  podDisruptionBudget: section('How many agents may leave at a time when nodes are drained.', {
    enabled: flag('Make a PodDisruptionBudget, where there is more than one agent.', true),
    maxUnavailable: share('So many may be missing.', 1),
  }),
  networkPolicy: section('Who may connect: nobody has to, but for metrics.', {
    enabled: flag('Make a NetworkPolicy.', true),
    metricsFrom: objects('Peers that may read metrics; empty: all.'),
    egress: objects('Rules for what agents may reach; empty: everything.'),
  }),
  metrics: section('Monitoring, where `config.prometheus.enabled` is set.', {
    podMonitor: section('For the Prometheus Operator.', {
      enabled: flag('Make a PodMonitor, so that Prometheus scrapes `/metrics` of every agent.', false),
      namespace: text('Where to make it; empty: the namespace of the release.'),
      labels: labels('Labels that your Prometheus selects by.'),
      interval: text('Time between two scrapes.', '30s'),
      scrapeTimeout: text('How long one may take.', '10s'),
      relabelings: objects('Relabelings of targets.'),
      metricRelabelings: objects('Relabelings of metrics.'),
    }),
  }),
});
