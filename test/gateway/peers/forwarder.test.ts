/** A client per instance: kept while its address is the same, closed when the instance is gone. */

import { test, type Test } from 'tap';
import { Forwarder } from '../../../src/gateway/peers/forwarder.js';
import { freePort } from '../../free-port.js';
import { waitFor } from '../../wait.js';
import { atOnce, startInstanceDouble, takeAll } from './instance-double.js';

const message = Buffer.from('message');

function setUp(t: Test) {
  let reads = 0;
  const forwarder = new Forwarder({
    instanceId: 'here',
    connections: 1,
    timeoutMs: 5_000,
    tls: () => ({ servername: String((reads += 1)) }),
    sign: undefined,
  });
  t.teardown(() => forwarder.stop());
  return { forwarder, reads: () => reads };
}

test('messages to one instance use one client', async (t) => {
  const { forwarder, reads } = setUp(t);
  const { baseUrl, requests } = await startInstanceDouble(t, takeAll);
  await forwarder.operation({ id: 'there', baseUrl }, message);
  await forwarder.result({ id: 'there', baseUrl }, message);
  await forwarder.call({ id: 'there', baseUrl }, { method: 'GET', path: '/', timeoutMs: 5_000 });
  t.equal(requests.length, 3);
  t.equal(reads(), 3, 'one client has three pools');
});

test('an instance that is back at another address is called there, and its old connections end', async (t) => {
  const { forwarder } = setUp(t);
  const [old, current] = [await startInstanceDouble(t, takeAll), await startInstanceDouble(t, takeAll)];
  await forwarder.operation({ id: 'there', baseUrl: old.baseUrl }, message);
  await forwarder.operation({ id: 'there', baseUrl: current.baseUrl }, message);
  t.same([old.requests.length, current.requests.length], [1, 1]);
  await waitFor(() => old.connections.open === 0, atOnce);
});

test('the connections to an instance that is gone are closed, and those to others stay', async (t) => {
  const { forwarder } = setUp(t);
  const [gone, other] = [await startInstanceDouble(t, takeAll), await startInstanceDouble(t, takeAll)];
  await forwarder.operation({ id: 'gone', baseUrl: gone.baseUrl }, message);
  await forwarder.operation({ id: 'other', baseUrl: other.baseUrl }, message);
  await forwarder.forget('gone');
  await forwarder.forget('never-heard-of');
  await waitFor(() => gone.connections.open === 0, atOnce);
  t.equal(other.connections.open, 1);
});

test('what waits is counted over all instances', async (t) => {
  const { forwarder } = setUp(t);
  const { baseUrl } = await startInstanceDouble(t, takeAll);
  const sent = [
    forwarder.operation({ id: 'one', baseUrl }, message),
    forwarder.operation({ id: 'other', baseUrl }, message),
    forwarder.result({ id: 'other', baseUrl }, message),
  ];
  t.equal(forwarder.queueLength, 3);
  await Promise.all(sent);
  t.equal(forwarder.queueLength, 0);
});

test('new certificates are used towards every instance', async (t) => {
  const { forwarder, reads } = setUp(t);
  const { baseUrl } = await startInstanceDouble(t, takeAll);
  for (const id of ['one', 'other']) await forwarder.operation({ id, baseUrl }, message);
  const before = reads();
  forwarder.renew();
  t.equal(reads() - before, 6);
});

test('beyond a thousand instances the one that was added first is dropped', async (t) => {
  const { forwarder } = setUp(t);
  const [first, second] = [await startInstanceDouble(t, takeAll), await startInstanceDouble(t, takeAll)];
  await forwarder.operation({ id: 'first', baseUrl: first.baseUrl }, message);
  await forwarder.operation({ id: 'second', baseUrl: second.baseUrl }, message);
  const nowhere = `http://127.0.0.1:${await freePort()}`;
  const add = (id: string): Promise<unknown> => forwarder.result({ id, baseUrl: nowhere }, message).catch(() => id);
  await Promise.all(Array.from({ length: 998 }, (_, index) => add(`more-${index}`)));
  t.equal(first.connections.open, 1);
  await add('one-more');
  await waitFor(() => first.connections.open === 0, atOnce);
  t.equal(second.connections.open, 1);
});

test('at the stop all connections are closed', async (t) => {
  const { forwarder } = setUp(t);
  const { baseUrl, connections } = await startInstanceDouble(t, takeAll);
  for (const id of ['one', 'other']) await forwarder.operation({ id, baseUrl }, message);
  t.equal(connections.open, 2);
  await forwarder.stop();
  await waitFor(() => connections.open === 0, atOnce);
});
