/**
 * What a kubeconfig says of one context, read and refused as client-go does (tools/clientcmd, rest.Config): its fields are
 * honoured, or have nothing to say here, or are refused by name. Reads no other file and runs nothing.
 */

import { TellableError } from '../core/errors.js';
import { isProxy } from '../core/proxy.js';
import { readManifests, YamlError } from '../documents/yaml.js';
import { Fields, lookUp, type Material } from './kubeconfig-fields.js';

/** `clusters[].cluster`. */
export interface ClusterSettings {
  /** Base URL. */
  readonly server: URL;
  /** As it is written, as is the proxy's: credential plugins are told so. */
  readonly written: { readonly server: string; readonly proxy: string | undefined };
  readonly ca: Material;
  readonly tlsServerName: string | undefined;
  readonly insecure: boolean;
  readonly proxy: URL | undefined;
  readonly disableCompression: boolean;
  /** What the cluster has for credential plugins: its extension `client.authentication.k8s.io/exec`. */
  readonly execConfig: unknown;
}

/** Impersonation. */
export interface Impersonated {
  readonly user: string;
  readonly uid: string | undefined;
  readonly groups: readonly string[];
  readonly extra: ReadonlyMap<string, readonly string[]>;
}

/** A credential plugin: `users[].user.exec`. */
export interface ExecSettings {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly installHint: string | undefined;
  readonly provideClusterInfo: boolean;
}

/** The auth provider `oidc`: `users[].user.auth-provider.config`. */
export interface OidcSettings {
  readonly issuer: URL;
  readonly clientId: string;
  readonly clientSecret: string | undefined;
  readonly authority: Material;
  readonly idToken: string | undefined;
  readonly refreshToken: string | undefined;
}

/** `users[].user`. */
export interface UserSettings {
  readonly cert: Material;
  readonly key: Material;
  /** The file wins where it can be read. */
  readonly token: string | undefined;
  readonly tokenFile: string | undefined;
  readonly basic: { readonly username: string; readonly password: string } | undefined;
  readonly impersonated: Impersonated | undefined;
  readonly exec: ExecSettings | undefined;
  readonly oidc: OidcSettings | undefined;
}

export interface Kubeconfig {
  readonly cluster: ClusterSettings;
  readonly user: UserSettings;
  readonly namespace: string | undefined;
}

export interface KubeconfigOptions {
  /** Default: its `current-context`. */
  readonly context?: string | undefined;
  /** Paths that it names are relative to here. */
  readonly directory: string;
}

/** @throws TellableError in words, without anything of the content but names of fields, contexts, clusters and users */
export function parseKubeconfig(text: string, options: KubeconfigOptions): Kubeconfig {
  const { directory } = options;
  const config = new Fields(parseYaml(text), '', directory);
  const contextName = options.context ?? config.text('current-context');
  if (contextName === undefined) throw new TellableError('it has no current context');
  const context = lookUp(config, 'context', contextName);
  const cluster = lookUp(config, 'cluster', context.text('cluster') ?? '');
  const userName = context.text('user');
  const user = userName === undefined ? new Fields({}, 'users[]', directory) : lookUp(config, 'user', userName);
  const userSettings = userOf(user);
  return {
    cluster: clusterOf(cluster, userSettings),
    user: userSettings,
    namespace: context.text('namespace'),
  };
}

function clusterOf(cluster: Fields, user: UserSettings): ClusterSettings {
  const insecure = cluster.flag('insecure-skip-tls-verify');
  const ca = cluster.material('certificate-authority');
  const hasCa = ca.data !== undefined || ca.file !== undefined;
  if (insecure && hasCa) {
    throw cluster.wrong('insecure-skip-tls-verify', 'expected either this or certificate-authority, found both');
  }
  const server = cluster.text('server');
  if (server === undefined) throw cluster.wrong('server', 'expected the URL of the API server, found nothing');
  const hasCertificate = user.cert.data !== undefined || user.cert.file !== undefined;
  return {
    server: serverUrl(cluster, server, hasCa || hasCertificate || insecure),
    written: { server, proxy: cluster.text('proxy-url') },
    ca,
    tlsServerName: cluster.text('tls-server-name'),
    insecure,
    proxy: proxyOf(cluster),
    disableCompression: cluster.flag('disable-compression'),
    execConfig: cluster.extension('client.authentication.k8s.io/exec'),
  };
}

function proxyOf(cluster: Fields): URL | undefined {
  const text = cluster.text('proxy-url');
  if (text === undefined) return undefined;
  const proxy = URL.canParse(text) ? new URL(text) : undefined;
  if (proxy !== undefined && isProxy(proxy)) return proxy;
  throw cluster.wrong('proxy-url', 'expected a URL that begins with http://, https:// or socks5://');
}

/** Without a scheme, TLS settings make it https (rest.DefaultServerURL). */
function serverUrl(cluster: Fields, text: string, tls: boolean): URL {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\/./iu.test(text);
  const url = hasScheme ? text : `${tls ? 'https' : 'http'}://${text}`;
  const server = URL.canParse(url) ? new URL(url) : undefined;
  if (server === undefined || !/^https?:$/u.test(server.protocol) || (!hasScheme && server.pathname !== '/')) {
    throw cluster.wrong('server', 'expected a URL, https://HOST:PORT, or HOST:PORT');
  }
  server.search = '';
  server.hash = '';
  return server;
}

function userOf(user: Fields): UserSettings {
  user.refuseLookAlikes(/^(as|impersonate)/iu, ['as', 'as-uid', 'as-groups', 'as-user-extra']);
  const [cert, key] = [user.material('client-certificate'), user.material('client-key')];
  if ((cert.data ?? cert.file) !== undefined && (key.data ?? key.file) === undefined) {
    throw user.wrong('client-key', 'expected this or client-key-data beside the client certificate');
  }
  const [token, tokenFile] = [user.text('token'), user.file('tokenFile')];
  const [username, password] = [user.text('username'), user.text('password')];
  if (token !== undefined && (username ?? password) !== undefined) {
    throw user.wrong('token', 'expected either this or username and password, found both');
  }
  const [exec, provider] = [user.section('exec'), user.section('auth-provider')];
  if (exec !== undefined && provider !== undefined)
    throw user.wrong('exec', 'expected either this or auth-provider, found both');
  return {
    cert,
    key,
    token,
    tokenFile,
    basic: username === undefined ? undefined : { username, password: password ?? '' },
    impersonated: impersonatedOf(user),
    exec: exec === undefined ? undefined : execOf(exec),
    oidc: provider === undefined ? undefined : oidcOf(provider),
  };
}

function impersonatedOf(user: Fields): Impersonated | undefined {
  const [name, uid, groups, extra] = [
    user.text('as'),
    user.text('as-uid'),
    user.list('as-groups'),
    user.lists('as-user-extra'),
  ];
  if (name !== undefined) return { user: name, uid, groups, extra };
  if (uid !== undefined || groups.length > 0 || extra.size > 0) {
    throw user.wrong('as', 'expected a user name beside as-uid, as-groups and as-user-extra');
  }
  return undefined;
}

const execVersions = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'];

function execOf(exec: Fields): ExecSettings {
  const apiVersion = exec.text('apiVersion');
  if (apiVersion === undefined || !execVersions.includes(apiVersion)) {
    throw exec.wrong('apiVersion', `expected ${execVersions.join(' or ')}`);
  }
  const command = exec.command('command');
  if (command === undefined) throw exec.wrong('command', 'expected a program');
  const mode = exec.text('interactiveMode') ?? (apiVersion === execVersions[1] ? 'IfAvailable' : '');
  if (mode === 'Always') throw exec.wrong('interactiveMode', 'Always needs a terminal, and there is none');
  if (mode !== 'Never' && mode !== 'IfAvailable') {
    throw exec.wrong('interactiveMode', 'expected Never, IfAvailable or Always');
  }
  const env = exec.sections('env').map((one): [string, string] => {
    const name = one.text('name');
    if (name === undefined) throw one.wrong('name', 'expected the name of a variable');
    return [name, one.text('value') ?? ''];
  });
  return {
    apiVersion,
    command,
    args: exec.list('args'),
    env: Object.fromEntries(env),
    installHint: exec.text('installHint'),
    provideClusterInfo: exec.flag('provideClusterInfo'),
  };
}

function oidcOf(provider: Fields): OidcSettings {
  const name = provider.text('name');
  if (name !== 'oidc') {
    throw provider.wrong('name', `client-go no longer has the auth provider "${name ?? ''}"; use a plugin under exec`);
  }
  const config = provider.section('config') ?? provider;
  const [issuer, clientId] = [config.text('idp-issuer-url') ?? '', config.text('client-id')];
  if (!URL.canParse(issuer)) throw config.wrong('idp-issuer-url', 'expected a URL');
  if (clientId === undefined) throw config.wrong('client-id', 'expected text, found nothing');
  return {
    issuer: new URL(issuer),
    clientId,
    clientSecret: config.text('client-secret'),
    authority: config.material('idp-certificate-authority'),
    idToken: config.text('id-token'),
    refreshToken: config.text('refresh-token'),
  };
}

function parseYaml(text: string): unknown {
  try {
    return readManifests(text)[0] ?? null;
  } catch (error) {
    throw error instanceof YamlError ? new TellableError(`not YAML: ${error.message}`) : error;
  }
}
