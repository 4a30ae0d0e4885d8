/**
 * How to reach the API server, read anew from time to time: tokens and authorities change while we run. In a pod that is
 * four small files, elsewhere a kubeconfig; there is no other reader of kubeconfigs for what connects to clusters.
 */

import { dirname, resolve } from 'node:path';
import { readDistantFile } from '../core/distant-file.js';
import type { Environment } from '../core/environment.js';
import { GatewayError, TellableError } from '../core/errors.js';
import { proxyFor, usesProxy } from '../core/proxy.js';
import { holdsSecretReference } from '../core/secret-reference.js';
import type { ApiAccess, Headers } from './access.js';
import { openDispatcher } from './dispatcher.js';
import { runPlugin, type PluginCredential } from './exec-plugin.js';
import { impersonationHeaders } from './impersonation.js';
import { headerValue } from './header-value.js';
import { KeptCredentials } from './kept-credentials.js';
import type { Material } from './kubeconfig-fields.js';
import { parseKubeconfig, type ClusterSettings, type Kubeconfig, type UserSettings } from './kubeconfig.js';

export interface CredentialOptions {
  /** Take cluster and user from here; default: the pod's own service account. */
  readonly kubeconfigFile?: string | undefined;
  /** The kubeconfig itself, instead of a file. */
  readonly kubeconfig?: string | undefined;
  /** Of the kubeconfig; default: its current one. */
  readonly context?: string | undefined;
  /** Whether the API server's certificate is verified; default true. */
  readonly verifySsl?: boolean | undefined;
  /** Whether proxies count, the kubeconfig's and those of the environment; default true. */
  readonly proxy?: boolean | undefined;
  /** Of this process: proxies, and what credential plugins inherit. Default: none. */
  readonly environment?: Environment | undefined;
  /** The API server as seen from a pod; default `https://kubernetes.default.svc`. */
  readonly apiServer?: string | undefined;
  /** Default `/var/run/secrets/kubernetes.io/serviceaccount`. */
  readonly serviceAccountDirectory?: string | undefined;
  /** The setting that leads to these credentials, for the error. */
  readonly setting?: string | undefined;
}

/**
 * @param kept what a credential plugin gave; default: it runs for this access alone
 * @throws GatewayError `configuration` when there are no usable credentials; the signal's reason
 */
export async function openAccess(
  options: CredentialOptions,
  signal: AbortSignal,
  kept = new KeptCredentials(),
): Promise<ApiAccess> {
  const { kubeconfigFile, kubeconfig, setting = 'kubesvc.cluster-kubernetes.kubeconfigFile' } = options;
  try {
    if (kubeconfig !== undefined) return await fromKubeconfig(kubeconfig, '/', options, kept, signal);
    if (kubeconfigFile === undefined) return await fromPod(options, signal);
    const text = (await readDistantFile(kubeconfigFile, signal)).toString('utf8');
    return await fromKubeconfig(text, dirname(resolve(kubeconfigFile)), options, kept, signal);
  } catch (error) {
    signal.throwIfAborted();
    const where = kubeconfigFile ?? (kubeconfig === undefined ? 'the service account of this pod' : 'the kubeconfig');
    // A fault of ours is for the log alone.
    if (!(error instanceof TellableError)) throw error;
    throw new GatewayError('configuration', `cannot get Kubernetes credentials from ${where}: ${error.message}`, {
      field: setting,
      cause: error,
    });
  }
}

async function fromPod(options: CredentialOptions, signal: AbortSignal): Promise<ApiAccess> {
  const { proxy = true, environment = {}, verifySsl = true } = options;
  const directory = options.serviceAccountDirectory ?? '/var/run/secrets/kubernetes.io/serviceaccount';
  const token = await readDistantFile(`${directory}/token`, signal);
  const ca = await readDistantFile(`${directory}/ca.crt`, signal);
  const namespace = await readDistantFile(`${directory}/namespace`, signal).catch(() => undefined);
  const server = new URL(options.apiServer ?? 'https://kubernetes.default.svc');
  const tls = { ca, cert: undefined, key: undefined, servername: undefined, rejectUnauthorized: verifySsl };
  // client-go goes by the address of the Service, and NO_PROXY may name only that.
  const address = environment['KUBERNETES_SERVICE_HOST'];
  const isNear = address !== undefined && !usesProxy(withHost(server, address), noProxyOf(environment));
  return {
    server: server.href,
    headers: bearer(token.toString('utf8').trim()),
    dispatcher: openDispatcher(server, tls, proxy && !isNear ? proxyFor(server, environment) : undefined),
    namespace: namespace?.toString('utf8').trim(),
    ca,
  };
}

async function fromKubeconfig(
  text: string,
  directory: string,
  options: CredentialOptions,
  kept: KeptCredentials,
  signal: AbortSignal,
): Promise<ApiAccess> {
  // Taken literally they would be sent as tokens and passwords.
  if (holdsSecretReference(text)) throw new TellableError('it contains a secret engine reference (encrypted:...)');
  const { context, proxy: mayProxy = true, environment = {} } = options;
  const config = parseKubeconfig(text, { context, directory });
  const { cluster, user } = config;
  // One after the other, so that an account waits for one file at a time.
  const ca = await read(cluster.ca, signal);
  const isSecure = cluster.server.protocol === 'https:';
  const given = isSecure ? await authenticate(config, ca, mayProxy, environment, kept, signal) : {};
  const verify = (options.verifySsl ?? true) && !cluster.insecure;
  const tls = {
    ca,
    cert: given.cert,
    key: given.key,
    servername: cluster.tlsServerName,
    rejectUnauthorized: verify,
  };
  const proxy = mayProxy ? (cluster.proxy ?? proxyFor(cluster.server, environment)) : undefined;
  return {
    server: cluster.server.href,
    headers: {
      ...given.headers,
      ...(user.impersonated === undefined ? {} : impersonationHeaders(user.impersonated)),
    },
    dispatcher: openDispatcher(cluster.server, tls, proxy),
    namespace: config.namespace,
    ca,
    expiresAt: given.expiresAt,
  };
}

interface Given {
  readonly headers?: Headers;
  readonly cert?: Buffer | string | undefined;
  readonly key?: Buffer | string | undefined;
  readonly expiresAt?: number | undefined;
}

/** Who the user is, to servers that are reached by TLS: client-go sends nothing secret in cleartext. */
async function authenticate(
  { cluster, user }: Kubeconfig,
  ca: Buffer | undefined,
  mayProxy: boolean,
  environment: Environment,
  kept: KeptCredentials,
  signal: AbortSignal,
): Promise<Given> {
  const cert = await read(user.cert, signal);
  const key = await read(user.key, signal);
  const token = await tokenOf(user, signal);
  if (token !== undefined) return { cert, key, headers: bearer(token) };
  if (user.basic !== undefined) {
    const { username, password } = user.basic;
    return {
      cert,
      key,
      headers: { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` },
    };
  }
  const { exec, oidc } = user;
  if (oidc !== undefined) {
    const ask = () => kept.oidc.credential(oidc, mayProxy ? environment : {}, signal);
    return { cert, key, ...ofPlugin(await kept.of(oidc, ask)) };
  }
  if (exec === undefined) return { cert, key };
  const info = exec.provideClusterInfo ? clusterInfo(cluster, ca, mayProxy) : undefined;
  const ask = () => runPlugin({ settings: exec, cluster: info, environment }, signal);
  return { cert, key, ...ofPlugin(await kept.of({ exec, info }, ask)) };
}

function ofPlugin({ token, cert, key, expiresAt }: PluginCredential): Given {
  return {
    ...(token === undefined ? {} : { headers: bearer(token) }),
    ...(cert === undefined ? {} : { cert, key }),
    expiresAt,
  };
}

function bearer(token: string): Headers {
  return { authorization: headerValue('the token', `Bearer ${token}`) };
}

/** rest.ConfigToExecCluster: the authority as data, also where the kubeconfig names a file. */
function clusterInfo(cluster: ClusterSettings, ca: Buffer | undefined, mayProxy: boolean): object {
  return {
    server: cluster.written.server,
    ...(cluster.tlsServerName === undefined ? {} : { 'tls-server-name': cluster.tlsServerName }),
    ...(cluster.insecure ? { 'insecure-skip-tls-verify': true } : {}),
    ...(ca === undefined ? {} : { 'certificate-authority-data': ca.toString('base64') }),
    ...(cluster.proxy === undefined || !mayProxy ? {} : { 'proxy-url': cluster.written.proxy }),
    ...(cluster.disableCompression ? { 'disable-compression': true } : {}),
    config: cluster.execConfig ?? null,
  };
}

/** The file wins over the text, which counts where the file cannot be read. */
async function tokenOf({ token, tokenFile }: UserSettings, signal: AbortSignal): Promise<string | undefined> {
  if (tokenFile === undefined) return token;
  try {
    const text = (await readDistantFile(tokenFile, signal)).toString('utf8').trim();
    if (text === '') throw new TellableError(`${tokenFile}: expected a token, found nothing`);
    return text;
  } catch (error) {
    signal.throwIfAborted();
    if (token === undefined) throw error;
    return token;
  }
}

async function read({ data, file }: Material, signal: AbortSignal): Promise<Buffer | undefined> {
  return file === undefined ? data : readDistantFile(file, signal);
}

function withHost(server: URL, host: string): URL {
  const other = new URL(server);
  other.hostname = host.includes(':') ? `[${host}]` : host;
  return other;
}

function noProxyOf(environment: Environment): string {
  return environment['NO_PROXY'] ?? environment['no_proxy'] ?? '';
}
