/** References of Spinnaker's secret engines are refused in words wherever they may stand, never sent or opened literally. */

import { test } from 'tap';
import { pathFrom } from '../../src/configuration/references.js';
import { holdsSecretReference, isSecretReference } from '../../src/core/secret-reference.js';
import { openAccess } from '../../src/kubernetes/credentials.js';

test('what is a reference', (t) => {
  for (const text of ['encrypted:k8s!n:a!k:b', 'encryptedFile:s3!b:x', ' encrypted:x', 'secret://vault?e=x']) {
    t.ok(isSecretReference(text), text);
  }
  for (const text of ['my-encrypted:x', 'file:/encrypted', 'secret', 'encryption', '']) {
    t.notOk(isSecretReference(text), text);
  }
  t.ok(holdsSecretReference('users:\n- user: {token: "encrypted:vault!e:secret!k:token"}\n'));
  t.notOk(holdsSecretReference('users:\n- user: {token: my-encrypted-token}\n'));
  t.end();
});

test('inside a kubeconfig', async (t) => {
  const kubeconfig = JSON.stringify({
    clusters: [{ name: 'c', cluster: { server: 'http://127.0.0.1:1' } }],
    users: [{ name: 'u', user: { token: 'encrypted:k8s!n:secret!k:token' } }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'c',
  });
  await t.rejects(openAccess({ kubeconfig }, AbortSignal.timeout(120_000)), {
    message: /it contains a secret engine reference \(encrypted:...\)/,
  });
});

test('paths as Spring writes them', (t) => {
  for (const text of ['/certs/x', 'file:/certs/x', 'file:///certs/x', 'FILE:/certs/x']) {
    t.equal(pathFrom(text), '/certs/x', text);
  }
  t.equal(pathFrom('file:certs/x'), 'certs/x');
  t.equal(pathFrom('certs/x'), 'certs/x');
  t.equal(pathFrom('file:/my%20certs/x'), '/my certs/x');
  t.match(pathFrom('classpath:certs/x'), { message: /such as \/certs\/tls.crt; classpath: is not supported/ });
  t.match(pathFrom('https://host/x'), { message: /https: is not supported/ });
  t.match(pathFrom('file://host/x'), { message: /a file on this machine, without a host/ });
  t.end();
});
