/** Kubeconfigs that need no plugin: who we are, where the server is, and errors that quote nothing of them. */

import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { test, type Test } from 'tap';
import { connectionFailure } from '../../src/core/connection-failure.js';
import { TellableError } from '../../src/core/errors.js';
import { ApiClient } from '../../src/kubernetes/client.js';
import { openAccess, type CredentialOptions } from '../../src/kubernetes/credentials.js';

const authority = String(rootCertificates[0]);
const clusters = [
  { name: 'one', cluster: { server: 'https://one.example:6443', 'certificate-authority': 'ca.crt' } },
  { name: 'two', cluster: { server: 'https://two.example', 'insecure-skip-tls-verify': true } },
];
const contexts = [
  { name: 'first', context: { cluster: 'one', user: 'token', namespace: 'shop' } },
  { name: 'second', context: { cluster: 'two', user: 'password' } },
  { name: 'file', context: { cluster: 'one', user: 'file' } },
  { name: 'nobody', context: { cluster: 'one', user: 'missing' } },
];
const users = [
  { name: 'token', user: { token: 'hunter2' } },
  { name: 'password', user: { username: 'me', password: 'hunter2' } },
  { name: 'file', user: { tokenFile: 'token', token: 'not this one' } },
];
const config = { clusters, contexts, users, 'current-context': 'first' };

async function access(t: Test, options: Omit<CredentialOptions, 'kubeconfigFile'>) {
  const directory = t.testdir({ config: JSON.stringify(config), 'ca.crt': authority, token: 'from-file\n' });
  const opened = await openAccess(
    { kubeconfigFile: join(directory, 'config'), ...options },
    new AbortController().signal,
  );
  t.teardown(() => opened.dispatcher.destroy());
  return opened;
}

test('the current context, with files beside the kubeconfig', async (t) => {
  const { server, headers, namespace, ca } = await access(t, {});
  t.equal(server, 'https://one.example:6443/');
  t.strictSame(headers, { authorization: 'Bearer hunter2' });
  t.equal(namespace, 'shop');
  t.equal(String(ca), authority);
});

test('another context', async (t) => {
  const { server, headers } = await access(t, { context: 'second' });
  t.equal(server, 'https://two.example/');
  t.strictSame(headers, { authorization: `Basic ${Buffer.from('me:hunter2').toString('base64')}` });
});

test('a token file wins over a token', async (t) => {
  t.strictSame((await access(t, { context: 'file' })).headers, { authorization: 'Bearer from-file' });
});

test('what is wrong is said in words, without what is in it', async (t) => {
  const refused = (kubeconfig: string, context?: string): Promise<Error> =>
    openAccess(
      { kubeconfig, context, setting: 'kubernetes.accounts[].kubeConfigFile' },
      new AbortController().signal,
    ).then(
      () => new Error('it was taken'),
      (error: unknown) => error as Error,
    );
  const text = JSON.stringify(config);
  t.match(await refused(text, 'none'), { code: 'configuration', message: /it has no context "none"/ });
  t.match(await refused(text, 'nobody'), { message: /it has no user "missing"/ });
  t.match(await refused('{}'), { message: /it has no current context/ });
  const broken = await refused('users: [{token: hunter2');
  t.match(broken.message, /not YAML/);
  t.notOk(broken.message.includes('hunter2'));
});

test('whatever is broken where, it is told in words of ours', { timeout: 120_000 }, async (t) => {
  const signal = AbortSignal.timeout(100_000);
  const user = (fields: object) => ({
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u', namespace: 'n' } }],
    clusters: [
      {
        name: 'c',
        cluster: {
          ...{ server: 'https://127.0.0.1:1', 'insecure-skip-tls-verify': true, 'tls-server-name': 'x' },
          ...{ 'proxy-url': 'http://me:p@127.0.0.1:1', extensions: [{ name: 'a', extension: {} }] },
        },
      },
    ],
    users: [{ name: 'u', user: fields }],
  });
  const exec = {
    ...{ apiVersion: 'client.authentication.k8s.io/v1', command: '/bin/echo', args: ['x'], interactiveMode: 'Never' },
    ...{ env: [{ name: 'A', value: 'b' }], installHint: 'install it', provideClusterInfo: true },
  };
  const oidc = { 'idp-issuer-url': 'http://127.0.0.1:1', 'client-id': 'c', 'id-token': 'a.b.c', 'refresh-token': 'r' };
  const kubeconfigs = [
    user({ token: 't', as: 'jane', 'as-uid': '1', 'as-groups': ['g'], 'as-user-extra': { a: ['b'] } }),
    user({ username: 'u', password: 'p' }),
    user({ tokenFile: '/nowhere', 'client-certificate': '/nowhere', 'client-key': '/nowhere' }),
    user({ exec }),
    user({ 'auth-provider': { name: 'oidc', config: oidc } }),
  ];
  const junk = [
    null,
    '',
    'text\u0000hunter2',
    'a\nhunter2',
    '%zz',
    'http://%zz:hunter2@h',
    '🎉',
    0,
    true,
    [],
    {},
    [null],
    { a: null },
  ];
  let tried = 0;
  for (const kubeconfig of kubeconfigs) {
    for (const path of pathsOf(kubeconfig)) {
      for (const by of junk) {
        const text = JSON.stringify(replaced(kubeconfig, path, by));
        const failure = await openAccess({ kubeconfig: text }, signal).then(
          async (opened) => {
            const asked = await new ApiClient(opened, 5_000)
              .get('/version', {}, signal)
              .catch((error: unknown) => error);
            await opened.dispatcher.destroy();
            return connectionFailure(asked) === undefined ? asked : undefined;
          },
          (error: unknown) => error,
        );
        tried += 1;
        if (failure === undefined) continue;
        const told = failure instanceof Error ? failure.message : 'no error';
        const what = `${path.join('.')} is ${JSON.stringify(by)}: ${told}`;
        if (!(failure instanceof TellableError) || javaScript.test(told)) t.fail(what);
        // Names, files and programs are told, values are not.
        if (
          told.includes('hunter2') &&
          !/^(?:name|user|cluster|current-context|command|client-certificate)$/u.test(String(path.at(-1)))
        ) {
          t.fail(what);
        }
      }
    }
  }
  t.ok(tried > 1_000, `${String(tried)} kubeconfigs`);
});

/** What V8 and Node.js say of faults in a program. */
const javaScript =
  /Cannot (?:read|destructure|convert|set)|is not (?:a function|iterable|defined)|undefined|\[object|Invalid URL|URI malformed/u;

type Path = readonly (string | number)[];

/** Every place of a document, the whole first. */
function pathsOf(value: unknown, path: Path = []): Path[] {
  const below = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  const key = (name: string): string | number => (Array.isArray(value) ? Number(name) : name);
  return [path, ...below.flatMap(([name, each]) => pathsOf(each, [...path, key(name)]))];
}

function replaced(value: unknown, [first, ...rest]: Path, by: unknown): unknown {
  if (first === undefined) return by;
  if (Array.isArray(value))
    return value.map((each: unknown, index) => (index === first ? replaced(each, rest, by) : each));
  const object = value as Record<string, unknown>;
  return { ...object, [first]: replaced(object[first], rest, by) };
}
