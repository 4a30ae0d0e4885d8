/** Requests of the Kubernetes API at an agent, on a real API server: who may do what, and with whose credentials. */

import { readFile } from 'node:fs/promises';
import { test } from 'tap';
import { kubernetesPrograms } from '../../services/kubernetes-program.js';
import { startKubernetes } from '../../services/kubernetes.js';
import { waitFor } from '../../wait.js';
import { kubeconfigOf, serve, type AskOptions, type ServedAccountOptions } from './set-up.js';

const programs = await kubernetesPrograms();
const review = {
  method: 'POST',
  target: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
  body: '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}',
};
const skip = { skip: typeof programs === 'string' && programs };

test('accounts on a real API server', skip, async (t) => {
  const kubernetes = await startKubernetes(programs, { controllers: false });
  t.teardown(() => kubernetes.stop());
  const kubeconfig = await readFile(kubernetes.adminKubeconfig, 'utf8');
  const answerOf = async (options: Partial<ServedAccountOptions>, request: AskOptions) => {
    const asked = serve(t, { kubeconfig, ...options }).ask(request);
    await waitFor(() => asked.ended);
    return asked;
  };

  await t.test('reading and writing', async (t) => {
    const body = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { k: 'v' } });
    const target = '/api/v1/namespaces/default/configmaps';
    const headers = ['Content-Type', 'application/json', 'Content-Length', String(body.length)];
    const post = { method: 'POST', target, headers, body };
    t.match((await answerOf({ level: 'read' }, post)).json(), {
      code: 403,
      reason: 'Forbidden',
      details: { kind: 'configmaps' },
    });
    t.equal((await answerOf({}, post)).head?.status, 201);
    t.match((await answerOf({ level: 'read' }, { target: `${target}/a` })).json(), { data: { k: 'v' } });
    t.match((await answerOf({ level: 'read' }, { target: '/api/v1/secrets' })).json(), { code: 403 });
    const packed = await answerOf({}, { target: '/openapi/v2', headers: ['Accept-Encoding', 'gzip'] });
    t.equal(packed.header('content-encoding'), 'gzip');
    t.equal(packed.text.slice(0, 2), '\x1f\x8b', 'as it came');
  });

  await t.test('namespaces', async (t) => {
    const cluster = { namespaces: ['default'] };
    for (const target of ['/apis', '/api/v1/namespaces/default/pods', '/api/v1/namespaces', '/version'])
      t.equal((await answerOf({ cluster }, { target })).head?.status, 200, target);
    for (const target of [
      '/api/v1/pods',
      '/api/v1/namespaces/kube-system/pods',
      '/apis/apps/v1/deployments?watch=1',
      '/metrics',
    ])
      t.match((await answerOf({ cluster }, { target })).json(), { code: 403, reason: 'Forbidden' }, target);
    const only = { onlyNamespacedResources: true };
    t.equal((await answerOf({ cluster: only }, { target: '/api/v1/pods' })).head?.status, 200);
    t.match((await answerOf({ cluster: only }, { target: '/api/v1/nodes' })).json(), { code: 403 });
  });

  await t.test('a watch, until its caller goes', async (t) => {
    const { ask, open } = serve(t, { kubeconfig });
    const watch = ask({ target: '/api/v1/namespaces/default/configmaps?watch=1' });
    await waitFor(() => watch.text.includes('"name":"a"'));
    const patch = { method: 'PATCH', target: '/api/v1/namespaces/default/configmaps/a', body: '{"data":{"k":"new"}}' };
    await answerOf({}, { ...patch, headers: ['Content-Type', 'application/merge-patch+json'] });
    await waitFor(() => watch.text.includes('"k":"new"'));
    watch.events.onCancelled('gone');
    t.equal(open(), 0);
  });

  await t.test('credentials that the API server does not accept', async (t) => {
    const wrong = kubeconfigOf(
      { server: kubernetes.server, 'certificate-authority-data': Buffer.from(kubernetes.ca).toString('base64') },
      { token: 'nonsense' },
    );
    const refused = await answerOf(
      { kubeconfig: wrong },
      { target: '/api/v1/pods', headers: ['Authorization', 'Bearer x'] },
    );
    t.match(refused.json(), { code: 503, message: /does not accept the credentials of the agent/ });
    t.equal(refused.header('retry-after'), '5');
  });

  await t.test('the credentials of the account alone', async (t) => {
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'robot' } };
    await kubernetes.api.post('/api/v1/namespaces/default/serviceaccounts', account);
    const robot = await readFile(await kubernetes.kubeconfigFor('default', 'robot'), 'utf8');
    const headers = ['Content-Type', 'application/json', 'Authorization', 'Bearer nonsense', 'X-Remote-User', 'root'];
    const seen = (await answerOf({ kubeconfig: robot }, { ...review, headers })).json();
    t.match(seen, { status: { userInfo: { username: 'system:serviceaccount:default:robot' } } });
  });

  await t.test('impersonation', async (t) => {
    const json = ['Content-Type', 'application/json'];
    const as = ['Impersonate-User', 'eve', 'Impersonate-Group', 'one', 'Impersonate-Group', 'two'];
    const seen = (await answerOf({}, { ...review, headers: [...json, ...as] })).json();
    t.match(seen, { status: { userInfo: { username: 'eve', groups: ['one', 'two', 'system:authenticated'] } } });
  });
});
