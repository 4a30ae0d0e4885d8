/** Where kubeconfigs come from, how they are kept, and that nothing else can be had by a reference. */

import fc from 'fast-check';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { readSecret } from '../../../src/discovery/kubernetes/secrets.js';
import { Definitions } from '../../../src/gateway/accounts/definition.js';
import { readKubeconfig } from '../../../src/gateway/accounts/kubeconfig/content.js';
import {
  environmentProvider,
  fileProvider,
  kubernetesProvider,
} from '../../../src/gateway/accounts/kubeconfig/providers.js';
import { parseReference } from '../../../src/gateway/accounts/kubeconfig/reference.js';
import { isSealed, Sealer } from '../../../src/gateway/accounts/kubeconfig/sealer.js';
import { makeCertificates } from '../../commands/certificates.js';

const signal = AbortSignal.timeout(120_000);
const key = Buffer.alloc(32, 1).toString('base64');
const kubeconfig =
  'clusters: [{ name: c }]\nusers: [{ user: { token: canary-token, client-key-data: Y2FuYXJ5LWtleS1kYXRh } }]\n';

test('sealing', (t) => {
  const sealer = new Sealer(key);
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (text, account) => {
      const sealed = sealer.seal(text, account);
      if (!isSealed(sealed) || (text.length > 3 && sealed.includes(text))) throw new Error(sealed);
      if (sealer.open(sealed, account) !== text) throw new Error('not the same');
    }),
  );
  const sealed = sealer.seal('secret', 'a');
  t.not(sealed, sealer.seal('secret', 'a'), 'never the same twice');
  t.throws(() => sealer.open(sealed, 'b'), /belongs to another account/u);
  t.throws(() => sealer.open(`${sealed.slice(0, -6)}AAAAA=`, 'a'), /was changed/u);
  const another = new Sealer('ab'.repeat(32));
  t.throws(() => another.open(sealed, 'a'), /encryptionKey is not the key that the kubeconfig was encrypted with/u);
  t.throws(() => new Sealer(undefined).open(sealed, 'a'), /encryptionKey is not set/u);
  t.throws(() => new Sealer(undefined).seal('x', 'a'), /stored only encrypted/u);
  t.end();
});

test('a reference of a secret engine inside a kubeconfig, and groups that nobody would check, are refused', (t) => {
  for (const user of ['token: encrypted:k8s!n:kc!k:token', 'client-key-data: "encryptedFile:s3!b:x!f:y"']) {
    const text = `clusters: [{ name: c }]\nusers: [{ name: u, user: { ${user} } }]\n`;
    t.throws(() => readKubeconfig(text), /a secret engine reference \(encrypted:...\)/u, user);
  }
  const definitions = new Definitions(new Sealer(key), {} as ConstructorParameters<typeof Definitions>[1]);
  const groups = { kubeconfigFile: '/kube/prod', requiredGroupMembership: ['ops'] };
  t.throws(() => definitions.seal('prod', groups, 'accounts[0]'), {
    code: 'invalid-argument',
    message: /^accounts\[0\].requiredGroupMembership: has no effect here; write these groups as permissions/u,
  });
  t.doesNotThrow(() => definitions.seal('prod', { ...groups, requiredGroupMembership: [] }, 'accounts[0]'));
  t.end();
});

test('references', (t) => {
  t.same(parseReference('encryptedFile:k8s!n:kc!k:config!ns:spin'), {
    ...{ kind: 'k8s', name: 'kc', key: 'config', namespace: 'spin' },
  });
  t.same(
    parseReference('encrypted:k8s!ns:spin!k:config!n:kc'),
    parseReference('encryptedFile:k8s!n:kc!k:config!ns:spin'),
  );
  t.match(parseReference('encrypted:k8s!n:kc!k:config'), { namespace: undefined });
  t.same(parseReference('file:///a/b'), { kind: 'file', path: '/a/b' });
  t.same(parseReference('file:a'), { kind: 'file', path: 'a' });
  t.same(parseReference('env:KUBECONFIG_A'), { kind: 'env', name: 'KUBECONFIG_A' });
  for (const text of ['/path', kubeconfig, 'env:A\nclusters: []', '']) t.equal(parseReference(text), undefined);
  for (const text of [
    'encrypted:s3!b:x',
    'encrypted:noop!v:hunter2',
    'encrypted:k8s!n:a/../b!k:c',
    'encrypted:k8s!n:a',
  ]) {
    t.throws(() => parseReference(text), /reference to a kubeconfig/u, text);
  }
  t.throws(() => parseReference('encrypted:hunter2 is secret'), { message: /^[^2]*$/u });
  t.end();
});

test('what is a kubeconfig, and what of it is secret', (t) => {
  const { text, redact } = readKubeconfig(Buffer.from(kubeconfig).toString('base64'));
  t.equal(text, kubeconfig);
  t.equal(redact('token canary-token, key canary-key-data, Y2FuYXJ5LWtleS1kYXRh, c'), 'token ***, key ***, ***, c');
  t.equal(redact(`all: ${kubeconfig}.`), 'all: ***.');
  for (const wrong of [
    '',
    'hello',
    'a: b',
    'clusters: []',
    '{',
    'root:x:0:0:root:/root:/bin/sh',
    '- [',
    '&a [*a, *a]',
  ]) {
    t.throws(() => readKubeconfig(wrong), /expected a kubeconfig/u, wrong);
  }
  fc.assert(
    fc.property(fc.string(), (any) => {
      try {
        readKubeconfig(any);
      } catch (error) {
        if (any.length > 5 && (error as Error).message.includes(any))
          throw new Error('it repeats what it got', { cause: error });
      }
    }),
  );
  t.end();
});

async function directory(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'kubeconfigs-'));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
}

test('files: of one directory only', async (t) => {
  const path = await directory(t);
  const inside = join(path, 'inside');
  await mkdir(join(inside, 'deep'), { recursive: true });
  await writeFile(join(inside, 'deep', 'a'), kubeconfig);
  await writeFile(join(path, 'outside'), 'secret');
  await symlink(join(path, 'outside'), join(inside, 'link-out'));
  await symlink(join(inside, 'deep', 'a'), join(inside, 'link-in'));
  await writeFile(join(inside, 'large'), Buffer.alloc((1 << 20) + 1));
  const provider = fileProvider(inside);
  const read = (name: string) => provider.read({ kind: 'file', path: name }, signal);
  for (const name of ['deep/a', 'link-in', join(inside, 'deep/a')]) t.equal(await read(name), kubeconfig, name);
  for (const name of [
    '../outside',
    'link-out',
    join(path, 'outside'),
    '/etc/passwd',
    '',
    '.',
    'deep',
    'none',
    'large',
    'a\0b',
  ]) {
    await t.rejects(read(name), /no readable file of this name below/u, name);
  }
  await t.rejects(read('a\0b'), /no readable file of this name below/u);
  await t.rejects(fileProvider(undefined).read({ kind: 'file', path: 'a' }, signal), /kubeconfigDirectory is not set/u);
});

test('variables: with one prefix only', async (t) => {
  const provider = environmentProvider({ KUBECONFIG_A: kubeconfig, SQL_PASSWORD: 'secret' });
  t.equal(await provider.read({ kind: 'env', name: 'KUBECONFIG_A' }, signal), kubeconfig);
  for (const name of ['SQL_PASSWORD', 'KUBECONFIG_B', '__proto__']) {
    await t.rejects(provider.read({ kind: 'env', name }, signal), /no environment variable of this name/u);
  }
});

test('secrets of Kubernetes', async (t) => {
  const asked: string[] = [];
  const certificates = makeCertificates(t);
  // Nothing secret of a kubeconfig is sent in cleartext.
  const tls = { cert: certificates.read(certificates.chain), key: certificates.read(certificates.key) };
  const server = createServer(tls, (request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    const found = request.url === '/api/v1/namespaces/spin/secrets/kc';
    response.statusCode = found ? 200 : 403;
    response.end(
      JSON.stringify(
        found
          ? { data: { config: Buffer.from(kubeconfig).toString('base64') } }
          : { kind: 'Status', message: 'secrets "other" is forbidden' },
      ),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const path = await directory(t);
  const kubeconfigFile = join(path, 'own');
  const { port } = server.address() as AddressInfo;
  await writeFile(
    kubeconfigFile,
    `{clusters: [{name: c, cluster: {server: "https://127.0.0.1:${port}"}}], users: [{name: u, user: {token: own-token}}],
      contexts: [{name: x, context: {cluster: c, user: u, namespace: spin}}], current-context: x}`,
  );
  const provider = kubernetesProvider((secret, within) =>
    readSecret({ kubeconfigFile, verifySsl: false }, secret, within),
  );
  const read = (name: string, secretKey: string, namespace?: string) =>
    provider.read({ kind: 'k8s', name, key: secretKey, namespace }, signal);
  t.equal(await read('kc', 'config', 'spin'), kubeconfig);
  t.equal(await read('kc', 'config'), kubeconfig, "the gateway's own namespace");
  t.same(asked, Array(2).fill('GET /api/v1/namespaces/spin/secrets/kc Bearer own-token'));
  await t.rejects(read('kc', 'other', 'spin'), /secret "kc" has no key "other"/u);
  await t.rejects(read('other', 'config', 'spin'), /answered 403: secrets "other" is forbidden/u);

  const definitions = new Definitions(new Sealer(key), {
    ...{ k8s: provider, file: fileProvider(undefined), env: environmentProvider({}) },
  });
  const stored = definitions.seal(
    'acc',
    { kubeconfigContents: 'encrypted:k8s!n:kc!k:config!ns:spin', kinds: ['Pod'] },
    'body',
  );
  t.match(await definitions.open('acc', stored, signal), { kubeconfig, options: '{"kinds":["Pod"],"name":"acc"}' });
});

test('definitions', async (t) => {
  const definitions = new Definitions(new Sealer(key), {
    k8s: kubernetesProvider(() => Promise.reject(new Error('not here'))),
    file: fileProvider(undefined),
    env: environmentProvider({ KUBECONFIG_A: kubeconfig.replace('canary', 'another') }),
  });
  const stored = definitions.seal('acc', { kubeconfigContents: kubeconfig, metrics: true }, 'body');
  t.notOk(stored.includes('canary'));
  t.same(definitions.masked(stored), { name: 'acc', kubeconfigContents: '***', metrics: true });
  t.match(await definitions.open('acc', stored, signal), { kubeconfig, kubeconfigFile: undefined });
  await t.rejects(definitions.open('other', stored, signal), /kubeconfigContents: the stored kubeconfig was changed/u);
  const changed = definitions.change('acc', { kubeconfigFile: 'env:KUBECONFIG_A' }, 'body')(stored);
  t.same(definitions.masked(changed), { name: 'acc', kubeconfigFile: 'env:KUBECONFIG_A', metrics: true });
  t.match((await definitions.open('acc', changed, signal)).kubeconfig, /another/u);
  t.throws(() => definitions.seal('acc', { kubeconfigFile: stored }, 'body.3'), /^[^]*body\.3\.kubeconfigFile/u);
  const onAgent = definitions.seal('acc', { kubeconfigFile: '/home/agent/kc' }, 'body');
  t.match(await definitions.open('acc', onAgent, signal), { kubeconfig: undefined, kubeconfigFile: '/home/agent/kc' });
  t.match(await definitions.open('acc', '{"serviceAccount":true}', signal), { options: '{"serviceAccount":true}' });
  await t.rejects(definitions.open('acc', undefined, signal), /names neither a kubeconfig nor a serviceAccount/u);
  await t.rejects(definitions.open('acc', 'not json', signal), /names neither a kubeconfig/u);
  const armory = JSON.stringify({ kubeconfigContents: Buffer.from(kubeconfig).toString('base64') });
  t.match(await definitions.open('acc', armory, signal), { kubeconfig }, "what Armory's plugin stored is read");
  t.same(definitions.masked(armory), { kubeconfigContents: '***' });
});
