/**
 * Kubeconfigs, kubectl beside us: the same requests, the same refusals. `right` was written down first, by client-go's
 * sources (tools/clientcmd, rest, transport, plugin/pkg/client/auth/exec) and golang.org/x/net/http/httpproxy.
 */

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { ApiClient } from '../../src/kubernetes/client.js';
import { openAccess } from '../../src/kubernetes/credentials.js';
import { clusterTools } from '../services/helm.js';
import { kubeconfigOf, startRecordingServer, type Recorded } from './recording-server.js';

interface Case {
  readonly cluster?: object;
  readonly user?: object;
  readonly context?: object;
  readonly environment?: NodeJS.ProcessEnv;
  /** Makes of the kubeconfig, which is JSON, what JSON cannot say. */
  readonly written?: (json: string) => string;
  /** Of the request that arrives, or what our refusal names. */
  readonly right: Partial<Recorded> | RegExp;
  /** Where kubectl does something else, and we do not follow. */
  readonly kubectl?: Partial<Recorded> | 'refuses';
  /** What the proxies are asked for. */
  readonly proxied?: readonly string[];
  /** Of KUBERNETES_EXEC_INFO; absent: no plugin runs. */
  readonly info?: object;
}

const tools = await clusterTools();
const skip = { skip: typeof tools === 'string' && tools, timeout: 240_000 };
const version = 'client.authentication.k8s.io/v1';
const beta = 'client.authentication.k8s.io/v1beta1';

test('kubeconfigs mean what they mean to kubectl', skip, async (t) => {
  if (typeof tools === 'string') return;
  const api = await startRecordingServer(t);
  const { certificates, port, httpPort, proxyPort, socksPort } = api;
  const directory = t.testdir({ token: 'from-file\n' });
  const base64 = (name: string): string => readFileSync(join(certificates.directory, name)).toString('base64');
  for (const name of ['ca.crt', 'client.crt', 'client.key']) {
    writeFileSync(join(directory, name), certificates.read(join(certificates.directory, name)));
  }
  const plugin = '#!/bin/sh\nprintf "%s" "$KUBERNETES_EXEC_INFO" > "$INFO"\nprintf "%s" "$CREDENTIAL"\n';
  writeFileSync(join(directory, 'plugin'), plugin, { mode: 0o755 });
  const infoFile = join(directory, 'info');
  const exec = (settings: object, status: object = { token: 'of-plugin' }, apiVersion: string = version): object => ({
    exec: {
      ...{ apiVersion: version, command: './plugin', interactiveMode: 'Never', ...settings },
      env: [
        { name: 'INFO', value: infoFile },
        { name: 'CREDENTIAL', value: JSON.stringify({ kind: 'ExecCredential', apiVersion, status }) },
      ],
    },
  });
  const url = `https://127.0.0.1:${String(port)}`;
  const insecure = { server: url, 'insecure-skip-tls-verify': true };
  const trusted = { server: url, 'certificate-authority-data': base64('ca.crt') };
  const cleartext = { server: `http://127.0.0.1:${String(httpPort)}` };
  const named = { ...insecure, server: `https://api.internal:${String(port)}` };
  const proxy = `http://127.0.0.1:${String(proxyPort)}`;
  const connect = `CONNECT api.internal:${String(port)}`;
  const token = { token: 't' };
  const bearer = { authorization: 'Bearer t' };
  const basic = (text: string): Partial<Recorded> => ({
    authorization: `Basic ${Buffer.from(text).toString('base64')}`,
  });

  const cases: Record<string, Case> = {
    'a token': { user: token, right: { ...bearer, path: '/version', impersonation: [], certificate: undefined } },
    'a token file, beside the kubeconfig': {
      user: { tokenFile: 'token' },
      right: { authorization: 'Bearer from-file' },
    },
    'a token file wins over a token': {
      user: { ...token, tokenFile: 'token' },
      right: { authorization: 'Bearer from-file' },
    },
    'a token where its file is not there': { user: { ...token, tokenFile: 'none' }, right: bearer },
    'a token file that is not there': { user: { tokenFile: 'none' }, right: /none cannot be read: ENOENT/ },
    'a password': { user: { username: 'me', password: 'secret:1' }, right: basic('me:secret:1') },
    'a name without a password': { user: { username: 'me' }, right: basic('me:') },
    'a token and a password': { user: { ...token, username: 'me' }, right: /users\[0\]\.user\.token/ },
    'a certificate as data': {
      user: { 'client-certificate-data': base64('client.crt'), 'client-key-data': base64('client.key') },
      right: { certificate: 'me', authorization: undefined },
    },
    'a certificate in files': {
      user: { 'client-certificate': 'client.crt', 'client-key': './client.key', ...token },
      right: { certificate: 'me', ...bearer },
    },
    'a certificate without a key': { user: { 'client-certificate': 'client.crt' }, right: /client-key/ },
    'a certificate that is none': {
      user: { 'client-certificate': 'token', 'client-key': 'client.key' },
      right: /client-certificate/,
    },
    'a certificate twice': {
      user: {
        'client-certificate': 'client.crt',
        'client-certificate-data': base64('client.crt'),
        'client-key': 'client.key',
      },
      right: /client-certificate: expected either this or client-certificate-data/,
    },
    'data that is not base64': {
      user: { 'client-certificate-data': '!', 'client-key': 'client.key' },
      right: /client-certificate-data: expected base64/,
    },
    'impersonation of a user': {
      user: { ...token, as: 'jane' },
      right: { ...bearer, impersonation: ['impersonate-user: jane'] },
    },
    'impersonation with groups, uid and extra': {
      user: {
        ...token,
        ...{ as: 'jane', 'as-uid': '7', 'as-groups': ['one', 'two'] },
        'as-user-extra': { 'example.org/scopes': ['a', 'b'], 'Größe %': ['é'], none: [] },
      },
      right: {
        impersonation: [
          'impersonate-extra-example.org%2fscopes: a',
          'impersonate-extra-example.org%2fscopes: b',
          'impersonate-extra-gr%c3%b6%c3%9fe%20%25: Ã©',
          'impersonate-group: one',
          'impersonate-group: two',
          'impersonate-uid: 7',
          'impersonate-user: jane',
        ],
      },
    },
    'groups of nobody': {
      user: { ...token, 'as-groups': ['one'] },
      right: /users\[0\]\.user\.as: expected a user name/,
    },
    'groups that are no list': {
      user: { ...token, as: 'jane', 'as-groups': 'one' },
      right: /as-groups: expected a list/,
    },
    'a number for a token': { user: { token: 5 }, right: /users\[0\]\.user\.token: expected text/ },
    'a trusted authority': { cluster: trusted, user: token, right: bearer },
    'an authority in a file': {
      cluster: { server: url, 'certificate-authority': 'ca.crt' },
      user: token,
      right: bearer,
    },
    'no authority': { cluster: { server: url }, user: token, right: /certificate/ },
    'an authority and no verification': {
      cluster: { ...trusted, ...insecure },
      right: /insecure-skip-tls-verify: expected either this or certificate-authority/,
    },
    'text for a flag': {
      cluster: { ...insecure, 'insecure-skip-tls-verify': 'true' },
      right: /expected true or false/,
    },
    'a flag of YAML 1.1': {
      user: token,
      written: (json) =>
        `# YAML\n${json.replace('"insecure-skip-tls-verify":true', '"insecure-skip-tls-verify": yes')}`,
      right: bearer,
    },
    'another name of the server': {
      cluster: { ...trusted, 'tls-server-name': 'api.internal' },
      user: token,
      right: { ...bearer, servername: 'api.internal' },
    },
    'a wrong name of the server': { cluster: { ...trusted, 'tls-server-name': 'other' }, right: /other/ },
    'a server with a path': {
      cluster: { ...insecure, server: `${url}/clusters/one/` },
      right: { path: '/clusters/one/version' },
    },
    // client-go's own rule (rest.DefaultServerURL); kubectl 1.35 speaks cleartext to it all the same, and hears nothing.
    'a server without a scheme, with TLS settings': {
      cluster: { ...insecure, server: `127.0.0.1:${String(port)}` },
      right: bearer,
      kubectl: 'refuses',
    },
    // kubectl leaves out impersonation as if it were a secret; what restricts is never left out here.
    'impersonation by cleartext HTTP': {
      cluster: cleartext,
      user: { ...token, as: 'jane' },
      right: { authorization: undefined, impersonation: ['impersonate-user: jane'] },
      kubectl: { authorization: undefined, impersonation: [] },
    },
    'a server without a scheme': {
      cluster: { server: `127.0.0.1:${String(httpPort)}` },
      user: token,
      right: { authorization: undefined, servername: false },
    },
    'nothing secret by cleartext HTTP': {
      cluster: cleartext,
      user: { username: 'me', password: 'p' },
      right: { authorization: undefined },
    },
    'no server': { cluster: { 'insecure-skip-tls-verify': true }, right: /clusters\[0\]\.cluster\.server/ },
    'a context without its user': { context: { user: 'nobody' }, right: /it has no user "nobody"/ },
    'a plugin beside the kubeconfig': {
      user: exec({}),
      right: { authorization: 'Bearer of-plugin' },
      info: { kind: 'ExecCredential', apiVersion: version, spec: { interactive: false } },
    },
    'a plugin of the version before, with a certificate': {
      user: exec(
        { apiVersion: beta, interactiveMode: undefined },
        {
          clientCertificateData: certificates.read(join(certificates.directory, 'client.crt')),
          clientKeyData: certificates.read(join(certificates.directory, 'client.key')),
        },
        beta,
      ),
      right: { certificate: 'me', authorization: undefined },
      info: { kind: 'ExecCredential', apiVersion: beta, spec: { interactive: false } },
    },
    'a plugin that wants to know the cluster': {
      cluster: {
        ...{ server: `${url}/`, 'certificate-authority': 'ca.crt', 'tls-server-name': 'localhost', 'proxy-url': proxy },
        extensions: [{ name: 'client.authentication.k8s.io/exec', extension: { region: 'north' } }],
      },
      user: exec({ provideClusterInfo: true }),
      right: { authorization: 'Bearer of-plugin' },
      proxied: [`CONNECT 127.0.0.1:${String(port)}`],
      info: {
        ...{ kind: 'ExecCredential', apiVersion: version },
        spec: {
          cluster: {
            ...{ server: `${url}/`, 'tls-server-name': 'localhost', 'certificate-authority-data': base64('ca.crt') },
            ...{ 'proxy-url': proxy, config: { region: 'north' } },
          },
          interactive: false,
        },
      },
    },
    'a token wins over a plugin': { user: { ...token, ...exec({}) }, right: bearer },
    'a plugin that does not say whether it asks': {
      user: exec({ interactiveMode: undefined }),
      right: /interactiveMode/,
    },
    'a plugin that always asks': {
      user: exec({ interactiveMode: 'Always' }),
      right: /interactiveMode: Always needs a terminal/,
    },
    'a plugin of a version that is gone': {
      user: exec({ apiVersion: 'client.authentication.k8s.io/v1alpha1' }),
      right: /exec\.apiVersion: expected client/,
    },
    'a plugin that answers in another version': {
      user: exec({}, { token: 'x' }, beta),
      right: /did not print an ExecCredential of client/,
      info: { kind: 'ExecCredential', apiVersion: version, spec: { interactive: false } },
    },
    'a plugin that gives nothing': {
      user: exec({}, {}),
      right: /neither a token nor a certificate/,
      info: { kind: 'ExecCredential', apiVersion: version, spec: { interactive: false } },
    },
    'a plugin that is not there': {
      user: exec({ command: 'no-such-plugin' }),
      right: /"no-such-plugin" cannot be started/,
    },
    'an auth provider that is gone': {
      user: { 'auth-provider': { name: 'gcp' } },
      right: /auth-provider\.name: .*"gcp"/,
    },
    'proxy-url': { cluster: { ...named, 'proxy-url': proxy }, user: token, right: bearer, proxied: [connect] },
    'proxy-url with a password': {
      cluster: { ...named, 'proxy-url': proxy.replace('//', '//me:p%40ss@') },
      right: {},
      proxied: [`${connect} ${String(basic('me:p@ss').authorization)}`],
    },
    'proxy-url of SOCKS5': {
      cluster: { ...named, 'proxy-url': `socks5://127.0.0.1:${String(socksPort)}` },
      user: token,
      right: bearer,
      proxied: ['SOCKS5 api.internal'],
    },
    'proxy-url of another kind': {
      cluster: { ...named, 'proxy-url': 'ftp://127.0.0.1' },
      right: /proxy-url: expected/,
    },
    HTTPS_PROXY: { cluster: named, environment: { HTTPS_PROXY: proxy }, right: {}, proxied: [connect] },
    'https_proxy without a scheme': {
      cluster: named,
      environment: { https_proxy: proxy.slice('http://'.length) },
      right: {},
      proxied: [connect],
    },
    'proxy-url wins over HTTPS_PROXY': {
      cluster: { ...named, 'proxy-url': proxy },
      environment: { HTTPS_PROXY: 'http://127.0.0.1:1' },
      right: {},
      proxied: [connect],
    },
    'HTTPS_PROXY is not for loopback': { environment: { HTTPS_PROXY: proxy }, right: {} },
    'NO_PROXY with the domain': {
      cluster: named,
      environment: { HTTPS_PROXY: proxy, NO_PROXY: 'other, .internal' },
      right: /ENOTFOUND|EAI_AGAIN/,
    },
    'NO_PROXY with another port': {
      cluster: named,
      environment: { HTTPS_PROXY: proxy, NO_PROXY: 'api.internal:1' },
      right: {},
      proxied: [connect],
    },
    'HTTP_PROXY is for cleartext': {
      cluster: { server: 'http://api.internal' },
      environment: { HTTP_PROXY: proxy, HTTPS_PROXY: 'http://127.0.0.1:1' },
      right: { path: 'http://api.internal/version' },
      proxied: ['GET http://api.internal/version'],
    },
  };

  type Outcome = { request: Recorded | undefined; proxied: string[]; info: unknown; error: string };
  const outcomeOf = async (ask: () => Promise<unknown>): Promise<Outcome> => {
    api.requests.length = 0;
    api.proxied.length = 0;
    rmSync(infoFile, { force: true });
    const error = await ask().then(
      () => '',
      (failure: unknown) => messages(failure),
    );
    const info: unknown = existsSync(infoFile) ? JSON.parse(readFileSync(infoFile, 'utf8')) : undefined;
    return { request: api.requests[0], proxied: [...api.proxied], info, error };
  };

  for (const [
    name,
    {
      cluster = insecure,
      user = token,
      context,
      written = String,
      environment = {},
      right,
      kubectl,
      proxied = [],
      info,
    },
  ] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const kubeconfigFile = join(directory, 'config');
      writeFileSync(kubeconfigFile, written(kubeconfigOf(cluster, user, context)));
      const variables = { PATH: process.env['PATH'], HOME: directory, ...environment };
      const theirs = await outcomeOf(() =>
        tools.kubectl(['--kubeconfig', kubeconfigFile, 'get', '--raw', '/version'], { environment: variables }),
      );
      const ours = await outcomeOf(async () => {
        const { signal } = new AbortController();
        const access = await openAccess({ kubeconfigFile, environment: variables }, signal);
        t.teardown(() => access.dispatcher.destroy());
        return new ApiClient(access, 10_000).get('/version', {}, signal);
      });
      const expected = { kubectl: kubectl === 'refuses' ? /./u : (kubectl ?? right), ours: right };
      for (const [who, outcome] of [['kubectl', theirs] as const, ['ours', ours] as const]) {
        const wanted = expected[who];
        if (wanted instanceof RegExp) {
          t.not(outcome.error, '', `${who} refuses it`);
          t.equal(outcome.request, undefined, `${who} asks nothing`);
        } else {
          t.equal(outcome.error, '', `${who} takes it`);
          t.match(outcome.request, wanted, `the request of ${who}`);
        }
        t.strictSame(outcome.proxied, proxied, `the way of ${who}`);
        t.strictSame(withoutEmpty(outcome.info), withoutEmpty(info), `the plugin of ${who}`);
      }
      if (right instanceof RegExp) t.match(ours.error, right);
      else if (kubectl === undefined) t.strictSame(ours.request, theirs.request);
    });
  }
});

/** kubectl writes what is not set as null. */
function withoutEmpty(info: unknown): unknown {
  return info === undefined
    ? undefined
    : JSON.parse(JSON.stringify(info, (_, value: unknown) => (value === null ? undefined : value)));
}

function messages(error: unknown): string {
  return error instanceof Error ? `${error.message} ${error.cause === undefined ? '' : messages(error.cause)}` : '';
}
