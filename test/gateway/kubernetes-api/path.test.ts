/** The account in a path, and what is left for the API server. */

import { test } from 'tap';
import { accountPath, isKubernetesApi, splitPath } from '../../../src/gateway/kubernetes-api/path.js';

test('the account is one segment; the rest is passed on as it was written', (t) => {
  const cases = [
    ['/kubernetes/accounts/prod/api/v1/pods?limit=5', 'prod', '/api/v1/pods?limit=5'],
    ['/kubernetes/accounts/prod', 'prod', '/'],
    ['/kubernetes/accounts/prod/', 'prod', '/'],
    ['/kubernetes/accounts/prod?timeout=32s', 'prod', '/?timeout=32s'],
    [
      '/kubernetes/accounts/arn%3Aaws%3Aeks%3Aeu-1%3A1%3Acluster%2Fshop/apis',
      'arn:aws:eks:eu-1:1:cluster/shop',
      '/apis',
    ],
    ['/kubernetes/accounts/a%20b@c/version', 'a b@c', '/version'],
    ['/kubernetes/accounts/a/api/v1//x/%2e%2e/%2F', 'a', '/api/v1//x/%2e%2e/%2F'],
  ] as const;
  for (const [url, account, target] of cases) t.same(splitPath(url), { account, target }, url);
  t.end();
});

test('a path without an account, or with a tricky one, is refused', (t) => {
  for (const segment of ['', '%', '%zz', '%ff', '.', '..', '%2e%2e']) {
    t.throws(() => splitPath(`/kubernetes/accounts/${segment}/api`), { code: 'invalid-argument' }, segment);
  }
  t.end();
});

test('other paths are not of the Kubernetes API', (t) => {
  for (const url of ['/kubernetes/kubeconfig', '/kubernetes/accounts', '/armory/accounts', undefined])
    t.notOk(isKubernetesApi(url), String(url));
  t.ok(isKubernetesApi('/kubernetes/accounts/x'));
  t.end();
});

test('an account with "/" survives client-go, which decodes the path of the server once', (t) => {
  for (const name of ['prod', 'arn:aws:eks:eu-west-1:123456789012:cluster/prod', 'a b@c/d?e#f%g']) {
    const decoded = decodeURIComponent(accountPath(name));
    // url.URL.EscapedPath(): "/" stays, "%" is encoded.
    const sent = decoded.split('/').map(encodeURIComponent).join('/');
    t.equal(splitPath(`${sent}/api`).account, name);
  }
  t.end();
});
