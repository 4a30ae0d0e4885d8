/** Values of helm/agent to render: together they set every option at least once (charts.test.ts). */

import type { Values } from './rendering.js';

const config = {
  clouddriver: { grpc: 'gateway.example.com:9091' },
  kubernetes: { accounts: [{ name: 'shop', serviceAccount: true }] },
};

export const agentRows = {
  'looks at its own cluster': { config },
  'deploys to two namespaces, with mTLS': {
    config,
    rbac: { access: 'deploy', namespaces: ['shop', 'other'], extraRules: [] },
    tls: { existingSecret: 'agent-tls', serverName: 'gateway.internal' },
    token: { existingSecret: 'agent-token' },
  },
  'several accounts by kubeconfig': {
    replicaCount: 2,
    config: {
      clouddriver: { grpc: 'gateway.example.com:9091' },
      kubernetes: {
        accounts: [
          { name: 'prod-a', kubeConfigFile: '/etc/agent-gateway/kubeconfigs/prod-a/kubeconfig' },
          { name: 'prod-b', kubeConfigFile: '/etc/agent-gateway/kubeconfigs/prod-b/kubeconfig', namespaces: ['web'] },
        ],
      },
    },
    kubeconfigSecrets: ['prod-a', 'prod-b'],
    rbac: { access: 'none' },
    serviceAccount: { create: false },
    podDisruptionBudget: { maxUnavailable: '50%' },
  },
  'names of keys, and a certificate of cert-manager': {
    config,
    tls: {
      existingSecret: 'agent-tls',
      certificateKey: 'chain.pem',
      privateKeyKey: 'key.pem',
      trustKey: 'roots.pem',
      certManager: {
        enabled: true,
        issuerRef: { name: 'ca', kind: 'ClusterIssuer' },
        commonName: 'shop',
        duration: '720h',
        renewBefore: '240h',
      },
    },
    token: { existingSecret: 'agent-token', key: 'jwt' },
  },
  'a gateway with a certificate, and no certificate of its own': {
    config,
    tls: { existingSecret: 'gateway-authority', certificateKey: '' },
  },
  'names and places': {
    config: { ...config, server: { port: 9082, host: '::' }, prometheus: { enabled: true, port: 9008 } },
    replicaCount: 3,
    fullnameOverride: 'shop-agent',
    nameOverride: 'agent',
    commonLabels: { team: 'shop' },
    image: { repository: 'registry.example.com/agent-gateway', tag: '1.2.3', pullPolicy: 'Always' },
    imagePullSecrets: [{ name: 'registry' }],
    serviceAccount: { name: 'deployer', annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/agent' } },
    rbac: { extraRules: [{ apiGroups: ['argoproj.io'], resources: ['rollouts'], verbs: ['get', 'list', 'watch'] }] },
    podAnnotations: { 'sidecar.istio.io/inject': 'false' },
    podLabels: { tier: 'backend' },
    podSecurityContext: { runAsUser: 1000 },
    securityContext: { privileged: false },
    resources: { requests: { memory: '1Gi' }, limits: { memory: '1Gi' } },
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [{ key: 'dedicated', operator: 'Exists' }],
    affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
    priorityClassName: 'system-cluster-critical',
    topologySpreadConstraints: [
      {
        maxSkew: 2,
        topologyKey: 'rack',
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: { matchLabels: { own: 'selector' } },
      },
    ],
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
    revisionHistoryLimit: 2,
    terminationGracePeriodSeconds: 90,
    probes: { startup: { failureThreshold: 10 }, liveness: { periodSeconds: 30 }, readiness: { timeoutSeconds: 5 } },
    nodeOptions: '--max-old-space-size=512',
    extraEnv: [{ name: 'HTTPS_PROXY', value: 'http://proxy:3128' }],
    extraVolumes: [{ name: 'more', emptyDir: {} }],
    extraVolumeMounts: [{ name: 'more', mountPath: '/more' }],
    initContainers: [{ name: 'before', image: 'busybox' }],
    extraContainers: [{ name: 'beside', image: 'busybox' }],
    podDisruptionBudget: { enabled: false },
    networkPolicy: {
      metricsFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
      egress: [{ ports: [{ port: 9091, protocol: 'TCP' }] }],
    },
    metrics: {
      podMonitor: {
        enabled: true,
        namespace: 'monitoring',
        labels: { release: 'prometheus' },
        interval: '15s',
        scrapeTimeout: '5s',
        relabelings: [{ sourceLabels: ['__meta_kubernetes_pod_name'], targetLabel: 'agent' }],
        metricRelabelings: [{ regex: 'nodejs_.*', sourceLabels: ['__name__'], action: 'drop' }],
      },
    },
  },
  'a token of its service account': {
    config,
    token: { key: 'jwt', projected: { enabled: true, audience: 'gateway', expirationSeconds: 7_200 } },
  },
  'dynamic accounts only': {
    config: { clouddriver: { grpc: 'gateway.example.com:9091' }, dynamicAccounts: { enabled: true } },
    image: { digest: `sha256:${'0'.repeat(64)}` },
    networkPolicy: { enabled: false },
  },
} satisfies Readonly<Record<string, Values>>;
