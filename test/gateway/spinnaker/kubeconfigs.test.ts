/** Kubeconfigs for Clouddriver: the same text while nothing changes, another one with a new token or CA. */

import { test } from 'tap';
import { SpinnakerKubeconfigs } from '../../../src/gateway/spinnaker/kubeconfigs.js';

test('a kubeconfig changes with its token and its CA, and with nothing else', async (t) => {
  const made = { token: 'first', authority: 'CA' };
  const kubeconfigs = new SpinnakerKubeconfigs({
    tokens: { sign: (account, now) => Promise.resolve({ token: `${made.token} of ${account}`, renewAt: now + 1_000 }) },
    publicUrl: 'https://gateway.example.com:7002',
    gateways: 'gateway.example.com',
    certificateAuthority: () => made.authority,
  });
  const first = await kubeconfigs.contentsFor('prod', 0);
  t.match(first.contents, 'token: first of prod');
  t.same(await kubeconfigs.contentsFor('prod', 500), { contents: first.contents, renewAt: 1_500 });
  t.match((await kubeconfigs.contentsFor('test', 0)).contents, 'token: first of test');
  made.token = 'second';
  t.match((await kubeconfigs.contentsFor('prod', 1_000)).contents, 'token: second of prod');
  made.authority = 'another CA';
  const { contents } = await kubeconfigs.contentsFor('prod', 1_000);
  t.match(contents, Buffer.from('another CA').toString('base64'));
});
