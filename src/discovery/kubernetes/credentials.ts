/**
 * How to reach the API server, read anew for each connection: tokens and authorities change while we run.
 * In a pod that is four small files, for which the client library (80 MB of memory, measured) is not loaded;
 * it is for a kubeconfig file, whose many ways to authenticate it knows.
 */

import { readFile } from 'node:fs/promises';
import { Agent, type Dispatcher } from 'undici';
import { GatewayError } from '../../core/errors.js';

export interface CredentialOptions {
  /** Take cluster and user from here; default: the pod's own service account. */
  readonly kubeconfigFile?: string | undefined;
  /** Whether the API server's certificate is verified; default true. */
  readonly verifySsl?: boolean | undefined;
  /** The API server as seen from a pod; default `https://kubernetes.default.svc`. */
  readonly apiServer?: string | undefined;
  /** Default `/var/run/secrets/kubernetes.io/serviceaccount`. */
  readonly serviceAccountDirectory?: string | undefined;
}

/** Whoever gets one destroys the dispatcher. */
export interface ApiAccess {
  /** Base URL; may have a path. */
  readonly server: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly dispatcher: Dispatcher;
  /** Where we are, if the credentials say so. */
  readonly namespace: string | undefined;
}

/** Below the time after which load balancers forget a silent connection. */
const keepAlive = { keepAlive: true, keepAliveInitialDelay: 30_000, timeout: 10_000 };

/** @throws GatewayError `configuration` when there are no usable credentials */
export async function openAccess(options: CredentialOptions): Promise<ApiAccess> {
  const { kubeconfigFile, verifySsl = true } = options;
  const settings = { ...options, verifySsl };
  try {
    return kubeconfigFile === undefined ? await fromPod(settings) : await fromFile(kubeconfigFile, verifySsl);
  } catch (error) {
    const where = kubeconfigFile ?? 'the service account of this pod';
    throw new GatewayError('configuration', `no Kubernetes credentials from ${where}: ${reasonOf(error)}`, {
      field: 'kubesvc.cluster-kubernetes.kubeconfigFile',
      cause: error,
    });
  }
}

async function fromPod(options: CredentialOptions & { verifySsl: boolean }): Promise<ApiAccess> {
  const directory = options.serviceAccountDirectory ?? '/var/run/secrets/kubernetes.io/serviceaccount';
  const [token, ca, namespace] = await Promise.all([
    readFile(`${directory}/token`, 'utf8'),
    readFile(`${directory}/ca.crt`, 'utf8'),
    readFile(`${directory}/namespace`, 'utf8').catch(() => undefined),
  ]);
  return {
    server: options.apiServer ?? 'https://kubernetes.default.svc',
    headers: { authorization: `Bearer ${token.trim()}` },
    dispatcher: new Agent({ connect: { ...keepAlive, ca, rejectUnauthorized: options.verifySsl } }),
    namespace: namespace?.trim(),
  };
}

async function fromFile(file: string, verifySsl: boolean): Promise<ApiAccess> {
  const { HttpMethod, KubeConfig, RequestContext } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromFile(file);
  if (!verifySsl) config.clusters = config.clusters.map((cluster) => ({ ...cluster, skipTLSVerify: true }));
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error('it has no current context');
  const request = new RequestContext(cluster.server, HttpMethod.GET);
  await config.applySecurityAuthentication(request);
  return {
    server: cluster.server,
    headers: request.getHeaders(),
    dispatcher: request.getDispatcher() ?? new Agent({ connect: keepAlive }),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
  };
}

/** The first line only: the text of a failing credential plugin or YAML parser may quote what must stay secret. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : 'unknown';
}
