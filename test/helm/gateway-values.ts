/** Values of helm/agent-gateway to render: together they set every option at least once (gateway-chart.test.ts). */

import type { Values } from './rendering.js';

const config = { sql: { url: 'mysql://mysql:3306/gateway', user: 'gateway' } };

export const gatewayRows = {
  'one replica to try': {
    replicaCount: 1,
    config: { kubesvc: { cluster: 'local' } },
    grpc: { service: { type: 'ClusterIP' } },
  },
  'a shared database': { config },
  'a fragment of clouddriver.yml': {
    config: {
      kubesvc: {
        cluster: 'kubernetes',
        'cluster-kubernetes': {
          clouddriverServiceNamePrefix: 'spin-gateway',
          httpPortName: 'HTTP',
          namespace: 'other',
        },
        drain: { timeoutMs: 61_500 },
        grpc: { server: { maxInboundMessageSize: '8MB', security: { keepAliveHeartbeatSeconds: 10 } } },
        heartbeat: { period: 30 },
        loadBalancer: 'nlb',
        operations: { maxPending: 10_000_000 },
      },
      sql: {
        enabled: true,
        connectionPools: {
          default: { default: true, jdbcUrl: 'jdbc:mysql://mysql:3306/clouddriver?useSSL=false', user: 'clouddriver' },
        },
        taskRepository: { enabled: true },
      },
      redis: { connection: 'redis://redis:6379', enabled: true },
      spinnaker: { extensibility: { plugins: {} } },
    },
    sql: { existingSecret: 'sql' },
  },
  'everything from Secrets': {
    config: {
      redis: { connection: 'redis://overridden:6379' },
      kubesvc: {
        dynamicAccounts: { enabled: true },
        kubernetesApi: { publicUrl: 'https://gateway.example.com:7002' },
      },
    },
    sql: {
      existingSecret: 'sql',
      urlKey: 'url',
      userKey: 'user',
      passwordKey: 'secret.password',
      migrationUserKey: 'owner',
      migrationPasswordKey: 'owner-password',
      tls: { existingSecret: 'sql-tls', trustKey: 'roots.pem', certificateKey: 'tls.crt', privateKeyKey: 'tls.key' },
    },
    auth: { existingSecret: 'auth' },
    spinnaker: { tokens: { existingSecret: 'tokens', key: 'signing' } },
    redis: { existingSecret: 'redis', connectionKey: 'url', passwordKey: 'redis-password' },
    dynamicAccounts: {
      encryptionKey: { existingSecret: 'sealing', key: 'aes' },
      kubeconfigSecrets: ['target-a', 'target-b'],
      readableSecrets: ['kubeconfigs'],
    },
    grpc: {
      tls: {
        existingSecret: 'grpc-tls',
        certificateKey: 'chain.pem',
        privateKeyKey: 'key.pem',
        privateKeyPasswordKey: 'password',
        trustKey: 'agents.pem',
        revocationListKey: 'revoked.pem',
        clientAuth: 'REQUIRE',
      },
    },
    rest: {
      tls: {
        existingSecret: 'rest-tls',
        certificateKey: 'chain.pem',
        privateKeyKey: 'key.pem',
        privateKeyPasswordKey: 'password',
        trustKey: 'callers.pem',
        revocationListKey: 'revoked.pem',
        clientAuth: 'OPTIONAL',
      },
    },
  },
  'certificates of cert-manager': {
    config,
    ...Object.fromEntries(
      ['grpc', 'rest'].map((port) => {
        const certManager = {
          enabled: true,
          issuerRef: { name: 'ca', kind: 'ClusterIssuer' },
          dnsNames: [`${port}.example.com`],
          duration: '720h',
          renewBefore: '240h',
        };
        return [port, { tls: { existingSecret: `${port}-tls`, certManager } }];
      }),
    ),
  },
  'Spinnaker without a plugin': {
    config,
    spinnaker: { enabled: true },
    rest: { tls: { existingSecret: 'rest-tls' } },
  },
  'Spinnaker elsewhere': {
    config,
    spinnaker: {
      enabled: true,
      namespace: 'cd',
      clouddriverUrl: 'https://spin-clouddriver-rw.cd:7002',
      tokens: { existingSecret: 'signing', key: 'keys' },
    },
    rest: { tls: { existingSecret: 'rest-tls' } },
  },
  'names and places': {
    config: { ...config, server: { port: 8443 }, kubesvc: { grpc: { server: { port: 9999 } } } },
    replicaCount: 5,
    fullnameOverride: 'agents',
    nameOverride: 'gateway',
    commonLabels: { team: 'delivery' },
    image: {
      repository: 'registry.example.com/agent-gateway',
      tag: '1.2.3',
      pullPolicy: 'Always',
    },
    imagePullSecrets: [{ name: 'registry' }],
    serviceAccount: { name: 'gateway', annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/gateway' } },
    podAnnotations: { 'sidecar.istio.io/inject': 'false' },
    podLabels: { tier: 'backend' },
    podSecurityContext: { runAsUser: 1000 },
    securityContext: { privileged: false },
    resources: { requests: { memory: '1Gi' } },
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
    minReadySeconds: 20,
    revisionHistoryLimit: 2,
    terminationGracePeriodSeconds: 90,
    probes: { startup: { failureThreshold: 10 }, liveness: { periodSeconds: 30 }, readiness: { timeoutSeconds: 5 } },
    extraArgs: ['--logging.level=debug'],
    extraEnv: [{ name: 'KUBECONFIG_SHOP', value: 'x' }],
    extraVolumes: [{ name: 'more', emptyDir: {} }],
    extraVolumeMounts: [{ name: 'more', mountPath: '/more' }],
    initContainers: [{ name: 'before', image: 'busybox' }],
    extraContainers: [{ name: 'beside', image: 'busybox' }],
    grpc: {
      service: {
        name: 'spin-clouddriver-grpc',
        port: 443,
        nodePort: 30_091,
        annotations: { 'example.com/load-balancer': 'internal' },
        loadBalancerClass: 'example.com/class',
        loadBalancerSourceRanges: ['10.0.0.0/8'],
        externalTrafficPolicy: 'Local',
      },
    },
    rest: { service: { name: 'spin-clouddriver-agents-rest', port: 80, annotations: { 'example.com/rest': 'yes' } } },
    podDisruptionBudget: { minAvailable: '50%' },
    networkPolicy: {
      agentsFrom: [{ ipBlock: { cidr: '10.0.0.0/8' } }],
      restFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
      egress: [{ ports: [{ port: 443, protocol: 'TCP' }] }],
    },
  },
  'as little as possible': {
    config: { ...config, server: { auth: { anonymousRole: 'admin' } } },
    image: { digest: `sha256:${'0'.repeat(64)}` },
    serviceAccount: { create: false, name: 'of-another-team' },
    rbac: { create: false },
    podDisruptionBudget: { enabled: false },
    networkPolicy: { enabled: false },
    grpc: { service: { type: 'NodePort' } },
  },
  'a budget of its own': { config, podDisruptionBudget: { maxUnavailable: 2 } },
  'scaled by Kubernetes': {
    config,
    autoscaling: {
      enabled: true,
      minReplicas: 2,
      maxReplicas: 50,
      cpuUtilization: 60,
      agentsPerReplica: 1_500_000,
      operationsPerReplica: 400,
      behavior: { scaleUp: { stabilizationWindowSeconds: 0 } },
    },
  },
  'scaled by KEDA': {
    config,
    autoscaling: {
      enabled: true,
      agentsPerReplica: 1_500,
      operationsPerReplica: 400,
      keda: {
        enabled: true,
        prometheusAddress: 'http://prometheus.monitoring:9090',
        selector: 'job="gateway"',
        pollingInterval: 15,
        authenticationRef: { name: 'prometheus' },
      },
    },
  },
  monitored: {
    config,
    metrics: {
      serviceMonitor: {
        enabled: true,
        namespace: 'monitoring',
        labels: { release: 'prometheus' },
        interval: '15s',
        scrapeTimeout: '5s',
        relabelings: [{ sourceLabels: ['__meta_kubernetes_pod_name'], targetLabel: 'replica' }],
        metricRelabelings: [{ regex: 'nodejs_heap_space_.*', sourceLabels: ['__name__'], action: 'drop' }],
        tlsConfig: { insecureSkipVerify: true },
      },
      prometheusRule: {
        enabled: true,
        namespace: 'monitoring',
        labels: { release: 'prometheus' },
        runbookUrl: 'https://example.com/',
      },
      dashboard: { enabled: true, namespace: 'monitoring', labels: { grafana_dashboard: 'yes' } },
    },
  },
} satisfies Readonly<Record<string, Values>>;
