/**
 * How to reach the API server, read anew for each connection: tokens and authorities change while we run.
 * In a pod that is four small files; of a kubeconfig, kubeconfig.ts reads what needs no plugin.
 */

import { readFile } from 'node:fs/promises';
import { Agent } from 'undici';
import { GatewayError } from '../core/errors.js';
import { holdsSecretReference } from '../core/secret-reference.js';
import type { ApiAccess } from './access.js';
import { directoryOf, keepAlive, readKubeconfig } from './kubeconfig.js';

export interface CredentialOptions {
  /** Take cluster and user from here; default: the pod's own service account. */
  readonly kubeconfigFile?: string | undefined;
  /** The kubeconfig itself, instead of a file. */
  readonly kubeconfig?: string | undefined;
  /** Of the kubeconfig; default: its current one. */
  readonly context?: string | undefined;
  /** Whether the API server's certificate is verified; default true. */
  readonly verifySsl?: boolean | undefined;
  /** Whether a kubeconfig's `proxy-url` counts; default true. */
  readonly proxy?: boolean | undefined;
  /** The API server as seen from a pod; default `https://kubernetes.default.svc`. */
  readonly apiServer?: string | undefined;
  /** Default `/var/run/secrets/kubernetes.io/serviceaccount`. */
  readonly serviceAccountDirectory?: string | undefined;
  /** The setting that leads to these credentials, for the error. */
  readonly setting?: string | undefined;
}

/** @throws GatewayError `configuration` when there are no usable credentials */
export async function openAccess(options: CredentialOptions): Promise<ApiAccess> {
  const { kubeconfigFile, kubeconfig, setting = 'kubesvc.cluster-kubernetes.kubeconfigFile' } = options;
  try {
    if (kubeconfig !== undefined) return await fromKubeconfig(kubeconfig, options, '/');
    if (kubeconfigFile === undefined) return await fromPod(options);
    return await fromKubeconfig(await readFile(kubeconfigFile, 'utf8'), options, directoryOf(kubeconfigFile));
  } catch (error) {
    const where = kubeconfigFile ?? (kubeconfig === undefined ? 'the service account of this pod' : 'the kubeconfig');
    throw new GatewayError('configuration', `no Kubernetes credentials from ${where}: ${reasonOf(error)}`, {
      field: setting,
      cause: error,
    });
  }
}

async function fromPod(options: CredentialOptions): Promise<ApiAccess> {
  const directory = options.serviceAccountDirectory ?? '/var/run/secrets/kubernetes.io/serviceaccount';
  const [token, ca, namespace] = await Promise.all([
    readFile(`${directory}/token`, 'utf8'),
    readFile(`${directory}/ca.crt`, 'utf8'),
    readFile(`${directory}/namespace`, 'utf8').catch(() => undefined),
  ]);
  return {
    server: options.apiServer ?? 'https://kubernetes.default.svc',
    headers: { authorization: `Bearer ${token.trim()}` },
    dispatcher: new Agent({ connect: { ...keepAlive, ca, rejectUnauthorized: options.verifySsl ?? true } }),
    namespace: namespace?.trim(),
    ca,
  };
}

async function fromKubeconfig(text: string, options: CredentialOptions, directory: string): Promise<ApiAccess> {
  // Taken literally they would be sent as tokens and passwords.
  if (holdsSecretReference(text)) throw new Error('it has a reference of a secret engine (encrypted:...) in it');
  const { context, verifySsl = true, proxy = true } = options;
  const declared = await readKubeconfig(text, { context, verifySsl, proxy, directory });
  if (declared !== undefined) return declared;

  const { HttpMethod, KubeConfig, RequestContext } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromString(text);
  config.makePathsAbsolute(directory);
  if (context !== undefined) config.setCurrentContext(context);
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
    ca: cluster.caData === undefined ? undefined : Buffer.from(cluster.caData, 'base64'),
  };
}

/** The first line only: the text of a failing credential plugin or YAML parser may quote what must stay secret. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : 'unknown';
}
