/** Requests of the Kubernetes API that change the protocol of their connection, through real sockets. */

import { test } from 'tap';
import { waitFor } from '../../wait.js';
import { head, headOf, ok, rawClient, startServed, type Arrived } from './served.js';

const upgrading = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Protocol: v5.channel.k8s.io'] as const;

/** Sends back what comes. */
function echo({ answer }: Arrived, protocol: string) {
  answer.respond({ status: 101, headers: ['Upgrade', protocol, 'Sec-WebSocket-Protocol', 'v5.channel.k8s.io'] });
  let held = 0;
  return {
    onData: (data: Uint8Array) => {
      if (answer.write(data)) answer.consumed(data.length);
      else held += data.length;
    },
    onDrain: () => {
      answer.consumed(held);
      held = 0;
    },
    onEnd: () => {
      answer.end();
    },
  };
}

test('upgrades through sockets', async (t) => {
  const served = await startServed(t, {
    respond: (arrived) => {
      const { request, answer } = arrived;
      if (request.target === '/refused') {
        ok(answer);
        return undefined;
      }
      return request.target === '/held' ? undefined : echo(arrived, request.upgrade);
    },
  });
  const { arrived, restPort } = served;

  await t.test('bytes pass in both directions, those that came early too', async (t) => {
    for (const method of ['GET', 'POST']) {
      const client = await rawClient(t, restPort);
      client.write(`${headOf(method, '/exec', ...upgrading)}early`);
      const text = await client.until('early');
      t.match(text, /^HTTP\/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n[\s\S]*Upgrade: websocket\r\n/u);
      t.match(text, /Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n/u);
      const large = 'HTTP/1.1 200 OK\r\n\r\n'.repeat(300_000);
      client.write(`${large}end`);
      await client.until('end');
      t.ok(client.text.endsWith(`${large}end`), `${method}: what looks like HTTP is none`);
      client.socket.end();
      await waitFor(() => client.closed, { timeoutMs: 2_000 });
    }
  });

  await t.test('a refusal is an answer of HTTP, after which the connection ends', async (t) => {
    const client = await rawClient(t, restPort);
    client.write(head('/refused', ...upgrading));
    await waitFor(() => client.closed, { timeoutMs: 2_000 });
    t.match(client.text, /^HTTP\/1.1 200 OK\r\n[\s\S]*Connection: close\r\n\r\nok$/u);
  });

  await t.test('who goes ends it within a second, before and after 101, and so does its agent', async (t) => {
    const last = () => arrived.at(-1);
    for (const target of ['/held', '/exec']) {
      const count = arrived.length;
      const client = await rawClient(t, restPort);
      client.write(head(target, ...upgrading));
      await waitFor(() => arrived.length > count);
      if (target === '/exec') await client.until('101');
      client.socket.resetAndDestroy();
      await waitFor(() => last()?.cancelled !== undefined || last()?.ended === true, { timeoutMs: 1_000 });
    }
    const client = await rawClient(t, restPort);
    client.write(head('/exec', ...upgrading));
    await client.until('101');
    last()?.answer.break('the API server went away');
    await waitFor(() => client.closed, { timeoutMs: 1_000 });
  });

  await t.test('nothing is left open', async () => {
    await waitFor(async () => !/requests_open\S* [1-9]/u.test(await (await fetch(`${served.restUrl}/metrics`)).text()));
  });
});
