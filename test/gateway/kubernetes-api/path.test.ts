/** Which account a path names, and what of it the API server gets. */

import { test } from 'tap';
import { accountPath, splitPath } from '../../../src/gateway/kubernetes-api/path.js';

test('the account is one segment', async (t) => {
  const arn = 'arn:aws:eks:eu-west-1:123456789012:cluster/prod';
  t.strictSame(splitPath('/kubernetes/accounts/prod/api/v1?limit=1'), { account: 'prod', target: '/api/v1?limit=1' });
  t.strictSame(splitPath(`/kubernetes/accounts/${encodeURIComponent(arn)}/api`), { account: arn, target: '/api' });
  t.strictSame(splitPath('/kubernetes/accounts/prod?x=%252F'), { account: 'prod', target: '/?x=%252F' });
  for (const wrong of ['', '/api', '..', '%2e%2e/api', '%zz']) {
    t.throws(() => splitPath(`/kubernetes/accounts/${wrong}`), { code: 'invalid-argument' }, wrong);
  }
});

test('an account with "/" survives client-go, which decodes the path of the server once', async (t) => {
  for (const name of ['prod', 'arn:aws:eks:eu-west-1:123456789012:cluster/prod', 'a b@c/d?e#f%g']) {
    const decoded = decodeURIComponent(accountPath(name));
    // url.URL.EscapedPath(): "/" stays, "%" is encoded.
    const sent = decoded.split('/').map(encodeURIComponent).join('/');
    t.equal(splitPath(`${sent}/api`).account, name);
  }
});
