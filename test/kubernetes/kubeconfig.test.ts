/** Kubeconfigs that need no plugin: who we are, where the server is, and errors that quote nothing of them. */

import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { test, type Test } from 'tap';
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
  t.match(broken.message, /it is not YAML/);
  t.notOk(broken.message.includes('hunter2'));
});
