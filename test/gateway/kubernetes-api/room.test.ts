/** Whether there is room for one more request. */

import { test } from 'tap';
import { withoutRoom } from '../../../src/gateway/kubernetes-api/room.js';
import { requestKind } from '../../../src/tunnel/request-kind.js';

const none = { request: 0, watch: 0, upgrade: 0 };

test('what lasts leaves room for what does not', (t) => {
  const room = (kind: Parameters<typeof withoutRoom>[0], open: Partial<typeof none>) =>
    withoutRoom(kind, { ...none, ...open }, 100);
  t.equal(room('upgrade', { upgrade: 49 }), undefined);
  t.equal(room('upgrade', { upgrade: 50 }), '50 upgraded connections (exec, attach, port-forward)');
  t.equal(room('watch', { upgrade: 50, watch: 39 }), undefined);
  t.equal(room('watch', { upgrade: 50, watch: 40 }), '90 watches and upgraded connections');
  t.equal(room('upgrade', { upgrade: 10, watch: 80 }), '90 watches and upgraded connections');
  t.equal(room('request', { upgrade: 50, watch: 40, request: 9 }), undefined);
  t.equal(room('request', { upgrade: 50, watch: 40, request: 10 }), '100 requests');
  t.equal(room('watch', { request: 100 }), '100 requests');
  for (const kind of ['request', 'watch', 'upgrade'] as const) {
    t.equal(withoutRoom(kind, none, 1), undefined, 'the smallest limit lets one in');
    t.type(withoutRoom(kind, { ...none, [kind]: 1 }, 1), 'string');
  }
  t.end();
});

test('how long a request lasts', (t) => {
  const kindOf = (target: string, method = 'GET', upgrade = '') => requestKind({ method, target, upgrade });
  t.equal(kindOf('/api/v1/namespaces/a/pods/b/exec?watch=1', 'GET', 'SPDY/3.1'), 'upgrade');
  for (const query of ['watch', 'watch=', 'watch=1', 'watch=true', 'limit=5&watch=yes', 'w%61tch=1', 'watch=1&watch=0'])
    t.equal(kindOf(`/api/v1/pods?${query}`), 'watch', query);
  for (const path of ['/api/v1/watch/pods', '/apis/apps/v1/watch/namespaces/a/deployments'])
    t.equal(kindOf(path), 'watch', path);
  for (const query of ['watch=0', 'watch=False', 'watch=0&watch=1', 'labelSelector=watch%3D1', 'watching=1'])
    t.equal(kindOf(`/api/v1/pods?${query}`), 'request', query);
  t.equal(kindOf('/api/v1/namespaces/watch/pods'), 'request');
  t.equal(kindOf('/api/v1/pods?watch=1', 'POST'), 'request');
  t.end();
});
