/**
 * A private Kubernetes control plane for tests: etcd, kube-apiserver and kube-controller-manager, the real ones, with
 * certificates of their own. Ready in about five seconds. No kubelet and no scheduler run: pods are what a test makes of
 * them (kubernetes-pods.ts), and the controllers do the rest; node-double.ts runs them. In a test file:
 *
 *   const programs = await kubernetesPrograms();
 *   test('...', { skip: typeof programs === 'string' && programs }, async (t) => {
 *     const kubernetes = await startKubernetes(programs);
 *     t.teardown(() => kubernetes.stop());
 */

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Agent } from 'undici';
import { ReleaseStack } from '../../src/core/release-stack.js';
import { freePort } from '../free-port.js';
import { waitFor } from '../wait.js';
import { KubernetesApi } from './kubernetes-api.js';
import type { KubernetesPrograms } from './kubernetes-program.js';
import { Service, type ServiceKind } from './service.js';

const run = promisify(execFile);

export interface KubernetesOptions {
  /** More arguments for kube-apiserver, such as `--default-watch-cache-size=1`. */
  readonly apiServerArgs?: readonly string[];
  /** Whether the controllers run; default true. Without them it starts faster. */
  readonly controllers?: boolean;
}

/** What the cluster's objects need to live without a kubelet: no pod garbage collection, no node life cycle. */
const controllers = [
  ...['endpoints-controller', 'endpointslice-controller', 'endpointslice-mirroring-controller'],
  ...['deployment-controller', 'replicaset-controller', 'statefulset-controller', 'daemonset-controller'],
  ...['job-controller', 'cronjob-controller', 'namespace-controller', 'garbage-collector-controller'],
  ...['serviceaccount-controller', 'serviceaccount-token-controller', 'root-ca-certificate-publisher-controller'],
  ...['disruption-controller', 'clusterrole-aggregation-controller', 'horizontal-pod-autoscaler-controller'],
];

/** Users by file name: what their certificates say. */
const users = {
  admin: '/O=system:masters/CN=admin',
  controllers: '/CN=system:kube-controller-manager',
} as const;

export class Kubernetes {
  /** Base URL. */
  readonly server: string;
  /** PEM, of the authority that signed the server's certificate. */
  readonly ca: string;
  readonly caFile: string;
  /** For temporary files of a test; gone at stop(). */
  readonly directory: string;
  /** A kubeconfig file that may do anything. */
  readonly adminKubeconfig: string;
  /** The API as that administrator. */
  readonly api: KubernetesApi;
  /** How to reach etcd, for compaction. */
  readonly etcd: Service;
  readonly #apiServer: Service;
  readonly #scope: ReleaseStack;

  constructor(parts: {
    directory: string;
    ca: string;
    etcd: Service;
    apiServer: Service;
    dispatcher: Agent;
    scope: ReleaseStack;
  }) {
    this.directory = parts.directory;
    this.ca = parts.ca;
    this.caFile = join(parts.directory, 'ca.crt');
    this.server = parts.apiServer.url;
    this.adminKubeconfig = join(parts.directory, 'admin.kubeconfig');
    this.api = new KubernetesApi(this.server, parts.dispatcher);
    this.etcd = parts.etcd;
    this.#apiServer = parts.apiServer;
    this.#scope = parts.scope;
  }

  /**
   * A token of a service account, which must exist (TokenRequest).
   * @param seconds how long it is valid; the API server takes 600 at the least
   */
  async token(namespace: string, serviceAccount: string, seconds = 3_600): Promise<string> {
    const { status } = await this.api.post<{ status: { token: string } }>(
      `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`,
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: seconds } },
    );
    return status.token;
  }

  /** Writes a kubeconfig file whose user is a service account; gives its path. */
  async kubeconfigFor(namespace: string, serviceAccount: string): Promise<string> {
    const file = join(this.directory, `${namespace}-${serviceAccount}.kubeconfig`);
    const token = await this.token(namespace, serviceAccount);
    await writeFile(file, kubeconfig(this.server, this.ca, { token }, namespace));
    return file;
  }

  /** Freezes, kills or restarts the API server; its port and data stay. */
  get apiServer(): Service {
    return this.#apiServer;
  }

  /** Makes etcd forget all versions before the last one: a watch from before gets 410, once the API server's watch cache (`--watch-cache=false`) has forgotten them too. */
  async compact(): Promise<void> {
    const call = async (path: string, body: object): Promise<Record<string, unknown>> => {
      const response = await fetch(`${this.etcd.url}/v3/kv/${path}`, { method: 'POST', body: JSON.stringify(body) });
      return (await response.json()) as Record<string, unknown>;
    };
    const { header } = (await call('range', { key: Buffer.from('/').toString('base64') })) as {
      header: { revision: string };
    };
    await call('compaction', { revision: header.revision, physical: true });
  }

  /** May be called again. */
  stop(): Promise<void> {
    return this.#scope.close();
  }
}

/** @throws Error with the end of a component's log when it does not become ready in time */
export async function startKubernetes(
  programs: KubernetesPrograms | string,
  options: KubernetesOptions = {},
): Promise<Kubernetes> {
  if (typeof programs === 'string') throw new Error(programs);
  const scope = new ReleaseStack();
  try {
    return await start(programs, options, scope);
  } catch (error) {
    await scope.close();
    throw error;
  }
}

async function start(
  programs: KubernetesPrograms,
  options: KubernetesOptions,
  scope: ReleaseStack,
): Promise<Kubernetes> {
  const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-kubernetes-'));
  scope.push('files', () => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  const path = (name: string): string => join(directory, name);
  await makeCertificates(directory);
  const [ca, cert, key] = await Promise.all(
    ['ca.crt', 'admin.crt', 'admin.key'].map((name) => readFile(path(name), 'utf8')),
  );
  const dispatcher = new Agent({ connect: { ca: ca ?? '', cert: cert ?? '', key: key ?? '' } });
  scope.push('connections', () => dispatcher.destroy());

  const peerPort = await freePort();
  const etcd = await Service.start(
    {
      name: 'etcd',
      command: (data, port) => [
        ...[programs.etcd, '--data-dir', data, '--unsafe-no-fsync', '--log-level=error'],
        ...['--listen-client-urls', httpUrl(port), '--advertise-client-urls', httpUrl(port)],
        ...['--listen-peer-urls', httpUrl(peerPort), '--initial-advertise-peer-urls', httpUrl(peerPort)],
        ...['--initial-cluster', `default=${httpUrl(peerPort)}`],
      ],
      stopSignal: 'SIGKILL',
      probe: async (port) => {
        const response = await fetch(`${httpUrl(port)}/health`);
        if (!response.ok) throw new Error(await response.text());
      },
      url: httpUrl,
    },
    {},
  );
  scope.push('etcd', () => etcd.stop());

  const apiServer = await Service.start(
    component('kube-apiserver', dispatcher, '/readyz', (port) => [
      ...[programs['kube-apiserver'], '--etcd-servers', etcd.url, '--etcd-compaction-interval=0'],
      ...['--bind-address=127.0.0.1', '--secure-port', String(port), '--endpoint-reconciler-type=none'],
      ...['--tls-cert-file', path('server.crt'), '--tls-private-key-file', path('server.key')],
      ...[
        '--client-ca-file',
        path('ca.crt'),
        '--authorization-mode=RBAC',
        '--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112',
      ],
      ...[
        '--service-account-issuer=https://kubernetes.default.svc',
        '--service-account-key-file',
        path('accounts.pub'),
      ],
      ...[
        '--service-account-signing-key-file',
        path('accounts.key'),
        '--profiling=false',
        '--shutdown-send-retry-after=true',
      ],
      ...['--kubelet-certificate-authority', path('ca.crt'), '--kubelet-client-certificate', path('admin.crt')],
      ...['--kubelet-client-key', path('admin.key')],
      ...(options.apiServerArgs ?? []),
    ]),
    { timeoutMs: 60_000 },
  );
  scope.push('kube-apiserver', () => apiServer.stop());
  for (const user of Object.keys(users)) {
    const files = await Promise.all(['crt', 'key'].map((end) => readFile(path(`${user}.${end}`))));
    const data = {
      'client-certificate-data': files[0]?.toString('base64'),
      'client-key-data': files[1]?.toString('base64'),
    };
    await writeFile(path(`${user}.kubeconfig`), kubeconfig(apiServer.url, ca ?? '', data));
  }
  const kubernetes = new Kubernetes({ directory, ca: ca ?? '', etcd, apiServer, dispatcher, scope });
  if (options.controllers === false) return kubernetes;

  const manager = await Service.start(
    component('kube-controller-manager', dispatcher, '/healthz', (port) => [
      ...[programs['kube-controller-manager'], '--kubeconfig', path('controllers.kubeconfig'), '--leader-elect=false'],
      ...['--bind-address=127.0.0.1', '--secure-port', String(port), '--controllers', controllers.join(',')],
      ...['--tls-cert-file', path('server.crt'), '--tls-private-key-file', path('server.key')],
      ...['--service-account-private-key-file', path('accounts.key'), '--root-ca-file', path('ca.crt')],
      ...['--authorization-always-allow-paths=/healthz', '--profiling=false', '--use-service-account-credentials'],
    ]),
    { timeoutMs: 60_000 },
  );
  scope.push('kube-controller-manager', () => manager.stop());
  // Without it no pod is admitted.
  const account = '/api/v1/namespaces/default/serviceaccounts/default';
  await waitFor(() => kubernetes.api.get(account), { description: 'the default service account' });
  return kubernetes;
}

function component(
  name: string,
  dispatcher: Agent,
  health: string,
  command: (port: number) => readonly string[],
): ServiceKind {
  const url = (port: number): string => `https://127.0.0.1:${String(port)}`;
  return {
    name,
    command: (_, port) => command(port),
    // It would wait for the watches to end.
    stopSignal: 'SIGKILL',
    probe: async (port) => {
      const { statusCode, body } = await dispatcher.request({ origin: url(port), path: health, method: 'GET' });
      const text = await body.text();
      if (statusCode !== 200) throw new Error(text);
    },
    url,
  };
}

function httpUrl(port: number): string {
  return `http://127.0.0.1:${String(port)}`;
}

/** JSON is YAML. */
function kubeconfig(server: string, ca: string, user: object, namespace = 'default'): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: 'test', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace } }],
  });
}

async function makeCertificates(cwd: string): Promise<void> {
  const openssl = (...args: string[]) => run('openssl', args, { cwd, timeout: 20_000 });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
    '-days',
    '2',
    '-subj',
    '/CN=kubernetes',
  );
  const names = 'subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost,DNS:kubernetes.default.svc';
  const sign = async (name: string, subject: string, extensions: readonly string[]): Promise<void> => {
    const authority = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-days', '2'];
    await openssl(
      'req',
      '-x509',
      ...newKey,
      ...authority,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.crt`,
      '-subj',
      subject,
      ...extensions.flatMap((one) => ['-addext', one]),
    );
  };
  const client = ['basicConstraints=critical,CA:FALSE', 'extendedKeyUsage=clientAuth'];
  await Promise.all([
    sign('server', '/CN=kube-apiserver', ['basicConstraints=critical,CA:FALSE', 'extendedKeyUsage=serverAuth', names]),
    ...Object.entries(users).map(([name, subject]) => sign(name, subject, client)),
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'accounts.key').then(() =>
      openssl('ec', '-in', 'accounts.key', '-pubout', '-out', 'accounts.pub'),
    ),
  ]);
}
