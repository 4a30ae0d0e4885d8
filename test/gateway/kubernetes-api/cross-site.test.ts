/** Web pages of other sites do not use their visitor's access to clusters. */

import { connect } from 'node:net';
import { test } from 'tap';
import { isCrossSite } from '../../../src/gateway/kubernetes-api/cross-site.js';
import { waitFor } from '../../wait.js';
import { head, startServed } from './served.js';

test('a page of another site is told from programs and from our own pages', (t) => {
  const host = 'gateway.example:7002';
  t.notOk(isCrossSite({ host }), 'a program');
  t.notOk(isCrossSite({ host, origin: 'https://Gateway.example:7002' }), 'our own page');
  t.notOk(isCrossSite({ ':authority': host, origin: 'https://gateway.example:7002' }), 'over HTTP/2');
  t.notOk(isCrossSite({ host, origin: 'https://evil.example', authorization: 'Bearer x' }), 'with a token');
  for (const origin of ['https://evil.example', 'http://gateway.example', 'null', ''])
    t.ok(isCrossSite({ host, origin }), origin);
  t.end();
});

test('a WebSocket of another site gets no shell, and one of a program does', async (t) => {
  const served = await startServed(t, {});
  const upgrade = (origin: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(served.restPort, '127.0.0.1');
      let text = '';
      socket.on('data', (data) => (text += data.toString('latin1')));
      socket.on('error', reject);
      socket.on('close', () => {
        resolve(text);
      });
      socket.write(head('/api/v1/namespaces/x/pods/y/exec', ...origins(origin), ...websocket));
    });
  t.match(await upgrade('https://evil.example'), /^HTTP\/1.1 403 .*another site/su);
  t.equal(served.arrived.length, 0, 'nothing of it reached the agent');
  t.match(await upgrade(''), /^HTTP\/1.1 200/u);
  await waitFor(() => served.arrived.length === 1);
});

const websocket = ['Connection: Upgrade', 'Upgrade: websocket'];

function origins(origin: string): readonly string[] {
  return origin === '' ? [] : [`Origin: ${origin}`];
}
