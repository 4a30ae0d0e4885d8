/** Both ends of a tunnel together: every byte arrives, at the right request, and nothing is left open. */

import { randomBytes } from 'node:crypto';
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { test } from 'tap';
import { GatewayError } from '../../src/core/errors.js';
import { AgentTunnel } from '../../src/tunnel/agent-tunnel.js';
import { exchangeWindowBytes, type TunnelAnswer, type TunnelledRequest } from '../../src/tunnel/exchange.js';
import { encodeFrames, type TunnelFrame } from '../../src/tunnel/frames.js';
import { GatewayTunnel } from '../../src/tunnel/gateway-tunnel.js';
import { waitFor } from '../wait.js';
import { aRequest, sendAll, Told, tunnelPair } from './tunnel-pair.js';

const ok = { status: 200, headers: ['content-type', 'text/plain'] };
const data = (size: number): Buffer => randomBytes(size);

test('a small request and its answer are one frame each way', async (t) => {
  const pair = tunnelPair((_, answer) => {
    setImmediate(() => {
      answer.respond(ok);
      answer.write(Buffer.from('answer'));
      answer.end();
    });
    return new Told();
  });
  const told = new Told();
  pair.gateway.open(aRequest, { body: Buffer.from('body'), complete: true }, told);
  await waitFor(() => told.trailers);
  t.match(told, { head: ok, text: 'answer', trailers: [] });
  t.strictSame([pair.toAgent.length, pair.toGateway.length, pair.messages()], [1, 1, 2]);
  t.strictSame([pair.gateway.openCount, pair.agent.openCount], [0, 0]);
});

test('requests of one turn share a message', async (t) => {
  const pair = tunnelPair((_, answer) => {
    answer.respond(ok);
    answer.end();
    return new Told();
  });
  const all = Array.from({ length: 50 }, () => new Told());
  for (const told of all) pair.gateway.open(aRequest, { complete: true }, told);
  await waitFor(() => all.every(({ trailers }) => trailers));
  t.equal(pair.messages(), 2);
});

/** Collections that the program asks for while `work` runs. */
async function askedCollections(work: () => Promise<unknown>): Promise<number> {
  let asked = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries())
      asked += Number(((detail as GcDetail).flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) !== 0);
  });
  observer.observe({ entryTypes: ['gc'] });
  await work();
  await nextTurn();
  observer.disconnect();
  return asked;
}

interface GcDetail {
  readonly flags: number;
}

test('large bodies are collected soon; many small ones in a message are left to V8', async (t) => {
  const answerBytes = { '/small': 1_024, '/large': 65_536 };
  const pair = tunnelPair(({ target }, answer) => {
    setImmediate(() => {
      answer.respond(ok);
      answer.write(data(answerBytes[target as keyof typeof answerBytes]));
      answer.end();
    });
    return new Told();
  });
  const ask = async (target: string, times: number): Promise<void> => {
    for (let round = 0; round < times; round += 1) {
      const all = Array.from({ length: 64 }, () => new Told());
      for (const told of all) pair.gateway.open({ ...aRequest, target }, { complete: true }, told);
      await waitFor(() => all.every(({ trailers }) => trailers));
    }
  };
  t.equal(await askedCollections(() => ask('/small', 100)), 0);
  t.ok((await askedCollections(() => ask('/large', 2))) >= 4);
});

test('random bodies, slow readers and cancellations: every byte arrives in order, at its request', async (t) => {
  const plan = fc.record({
    up: fc.nat(400_000),
    down: fc.nat(400_000),
    piece: fc.integer({ min: 500, max: 200_000 }),
    slow: fc.boolean(),
    cancelled: fc.constantFrom('no', 'no', 'no', 'by the caller', 'by the agent'),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(plan, { minLength: 1, maxLength: 8 }),
      fc.infiniteStream(fc.nat(3)),
      async (plans, turns) => {
        const atAgent = new Map<string, Told>();
        const bodies = plans.map(({ up, down }) => ({ up: data(up), down: data(down) }));
        const later = (task: () => void): void => {
          const value: unknown = turns.next().value;
          if (value === 0) setImmediate(task);
          else later(() => setImmediate(task));
        };
        const read = (told: Told, of: { consumed(bytes: number): void }, slow: boolean): void => {
          let held = 0;
          told.reads = (bytes) => {
            held += bytes;
            if (held > exchangeWindowBytes) t.fail('more than the window');
            const take = (): void => {
              held -= bytes;
              of.consumed(bytes);
            };
            if (slow) setImmediate(() => setImmediate(take));
            else take();
          };
        };
        const pair = tunnelPair((request: TunnelledRequest, answer: TunnelAnswer) => {
          const number = Number(request.account);
          const { piece, slow, cancelled } = plans[number] as (typeof plans)[number];
          const told = new Told();
          atAgent.set(request.account, told);
          read(told, answer, slow);
          answer.respond(ok);
          setImmediate(() => {
            if (cancelled === 'by the agent') answer.break('enough');
            // The end of an answer would end the request, whose bytes are counted here.
            else
              void waitFor(() => told.trailers ?? told.cancelled).then(() => {
                sendAll(answer, told, bodies[number]?.down ?? Buffer.alloc(0), piece);
              });
          });
          return told;
        }, later);
        const asked = plans.map(({ piece, slow, cancelled }, number) => {
          const told = new Told();
          const exchange = pair.gateway.open({ ...aRequest, account: String(number) }, { complete: false }, told);
          read(told, exchange, slow);
          sendAll(exchange, told, bodies[number]?.up ?? Buffer.alloc(0), piece);
          if (cancelled === 'by the caller') setImmediate(() => setImmediate(() => exchange.cancel('gone')));
          return told;
        });
        await waitFor(() => pair.gateway.openCount === 0 && pair.agent.openCount === 0);
        plans.forEach(({ cancelled }, number) => {
          const [told, agent, body] = [asked[number], atAgent.get(String(number)), bodies[number]];
          if (cancelled === 'no') {
            if (!Buffer.concat(told?.chunks ?? []).equals(body?.down ?? Buffer.of(1))) t.fail('another answer');
            if (!Buffer.concat(agent?.chunks ?? []).equals(body?.up ?? Buffer.of(1))) t.fail('another request');
          } else if (cancelled === 'by the agent') t.equal(told?.failure?.code, 'agent-lost');
          else t.equal(told?.failure ?? told?.trailers, undefined);
        });
      },
    ),
    { numRuns: 40 },
  );
});

test('a reader that does not read holds up only its own request', async (t) => {
  const pair = tunnelPair((request, answer) => {
    const told = new Told();
    answer.respond(ok);
    sendAll(answer, told, data(request.target === '/large' ? 1_000_000 : 100), 30_000);
    return told;
  });
  const large = new Told();
  const exchange = pair.gateway.open({ ...aRequest, target: '/large' }, { complete: true }, large);
  await waitFor(() => Buffer.concat(large.chunks).length === exchangeWindowBytes);
  const small = new Told();
  pair.gateway.open(aRequest, { complete: true }, small);
  await waitFor(() => small.trailers);
  t.equal(Buffer.concat(large.chunks).length, exchangeWindowBytes);
  large.reads = (bytes) => exchange.consumed(bytes);
  exchange.consumed(exchangeWindowBytes);
  await waitFor(() => large.trailers);
  t.equal(Buffer.concat(large.chunks).length, 1_000_000);
});

test('after 101 each direction ends by itself', async (t) => {
  let answer: TunnelAnswer | undefined;
  const agent = new Told();
  const pair = tunnelPair((_, given) => {
    answer = given;
    given.respond({ status: 101, headers: ['upgrade', 'websocket'] });
    return agent;
  });
  const told = new Told();
  const exchange = pair.gateway.open({ ...aRequest, upgrade: 'websocket' }, { complete: false }, told);
  await waitFor(() => told.head);
  answer?.write(Buffer.from('hello'));
  answer?.end();
  await waitFor(() => told.trailers);
  exchange.write(Buffer.from('goodbye'));
  await waitFor(() => agent.text === 'goodbye');
  t.equal(pair.gateway.openCount, 1);
  exchange.end();
  await waitFor(() => agent.trailers);
  t.strictSame([pair.gateway.openCount, pair.agent.openCount], [0, 0]);
});

test('an answer that is complete before its request ends both', async (t) => {
  const pair = tunnelPair((_, answer) => {
    answer.respond({ status: 413, headers: [] });
    answer.end(['x-trailer', 'yes']);
    return new Told();
  });
  const told = new Told();
  const exchange = pair.gateway.open(aRequest, { body: data(100), complete: false }, told);
  await waitFor(() => told.trailers);
  t.strictSame(told.trailers, ['x-trailer', 'yes']);
  t.equal(exchange.write(data(1_000_000)), true, 'the rest is dropped');
  t.strictSame([pair.gateway.openCount, pair.agent.openCount], [0, 0]);
});

test('the end of the stream fails requests, and says which cannot have had an effect', async (t) => {
  const written: Uint8Array[] = [];
  const gateway = new GatewayTunnel({ write: (message) => written.push(message) < 0 });
  const [first, second] = [new Told(), new Told()];
  gateway.open(aRequest, { complete: true }, first);
  await waitFor(() => written.length === 1);
  gateway.open(aRequest, { complete: true }, second);
  gateway.close(new GatewayError('agent-lost', 'gone'));
  t.match(first.failure, { code: 'agent-lost', message: 'gone', details: {} });
  t.equal(first.failure?.details.unsent, undefined);
  t.equal(second.failure?.details.unsent, true);
  t.throws(() => gateway.open(aRequest, { complete: true }, first), { code: 'agent-lost', details: { unsent: true } });
});

test('a request that is cancelled before it is sent is never sent', async (t) => {
  const written: Uint8Array[] = [];
  const gateway = new GatewayTunnel({ write: (message) => written.push(message) < 0 });
  gateway.open(aRequest, { complete: true }, new Told());
  await waitFor(() => written.length === 1);
  gateway.open(aRequest, { complete: true }, new Told()).cancel('gone');
  gateway.drained();
  t.equal(written.length, 1);
});

test('the end of the stream cancels what the agent does', async (t) => {
  const told = new Told();
  const pair = tunnelPair(() => told);
  pair.gateway.open(aRequest, { complete: true }, new Told());
  await waitFor(() => told.trailers);
  pair.agent.close('the stream ended');
  t.equal(told.cancelled, 'the stream ended');
});

const head: TunnelFrame = { kind: 'response-head', request: 1, head: ok, body: Buffer.alloc(0), complete: false };
const tooMuch = Array.from({ length: Math.ceil(exchangeWindowBytes / 50_000) }, (): TunnelFrame => ({
  kind: 'data',
  request: 1,
  data: Buffer.alloc(50_000),
}));

test('an agent that breaks the protocol loses its stream, and nobody gets a wrong answer', async (t) => {
  const wrong: Record<string, readonly TunnelFrame[]> = {
    'a second head': [head, head],
    'data before the head': [{ kind: 'data', request: 1, data: Buffer.from('x') }],
    'an end before the head': [{ kind: 'end', request: 1, trailers: [] }],
    'more than the window': [head, ...tooMuch],
    'a frame that is too large': [head, { kind: 'data', request: 1, data: Buffer.alloc(65_537) }],
    'status 199': [{ ...head, head: { ...ok, status: 199 } }],
    'status 600': [{ ...head, head: { ...ok, status: 600 } }],
    'status 101 that nobody asked for': [{ ...head, head: { ...ok, status: 101 } }],
    'a header without a value': [{ ...head, head: { ...ok, headers: ['a'] } }],
    'a line break in a value': [{ ...head, head: { ...ok, headers: ['a', 'b\r\nc: d'] } }],
    'NUL in a value': [{ ...head, head: { ...ok, headers: ['a', '\0'] } }],
    'a space in a name': [{ ...head, head: { ...ok, headers: ['a b', 'c'] } }],
    'an empty name': [{ ...head, head: { ...ok, headers: ['', 'c'] } }],
    'a line break in a trailer': [head, { kind: 'end', request: 1, trailers: ['a', '\n'] }],
    'a request that was never sent': [{ ...head, request: 2 }],
    'request 0': [{ ...head, request: 0 }],
    'a second hello': [{ kind: 'hello', request: 0, agentId: 'a', epoch: 1 }],
    'more consumed than was sent': [{ kind: 'consumed', request: 1, bytes: 1 }],
    'a request of the agent': [{ ...head, kind: 'request-head', head: aRequest }],
  };
  for (const [name, frames] of Object.entries(wrong)) {
    const written: Uint8Array[] = [];
    const gateway = new GatewayTunnel({ write: (message) => written.push(message) > 0 });
    const told = new Told();
    gateway.open(aRequest, { complete: true }, told);
    await waitFor(() => written.length === 1);
    t.throws(() => gateway.receive(encodeFrames(frames)), { code: 'invalid-argument' }, name);
    t.match(told, { failure: { code: 'agent-lost', message: /broke the protocol/u }, trailers: undefined }, name);
    t.equal(gateway.openCount, 0);
  }
});

test('frames of requests that have ended are ignored', async (t) => {
  const written: Uint8Array[] = [];
  const gateway = new GatewayTunnel({ write: (message) => written.push(message) > 0 });
  const told = new Told();
  const exchange = gateway.open(aRequest, { complete: true }, told);
  await waitFor(() => written.length === 1);
  exchange.cancel('gone');
  gateway.receive(encodeFrames([head, ...tooMuch, { kind: 'unknown', request: 5 }]));
  t.strictSame([told.head, told.chunks, told.trailers, told.failure], [undefined, [], undefined, undefined]);
  t.equal(gateway.openCount, 0);
});

test('a gateway that breaks the protocol loses its stream', async (t) => {
  const request: TunnelFrame = {
    kind: 'request-head',
    request: 1,
    head: aRequest,
    body: Buffer.alloc(0),
    complete: false,
  };
  const wrong: Record<string, readonly TunnelFrame[]> = {
    'a number twice': [request, request],
    'data of no request': [{ kind: 'data', request: 1, data: Buffer.alloc(1) }],
    'an invalid method': [{ ...request, head: { ...aRequest, method: 'GET /' } }],
    'an invalid target': [{ ...request, head: { ...aRequest, target: '/ HTTP/1.1\r\n' } }],
    'a response': [{ ...request, kind: 'response-head', head: ok }],
    'two ends': [request, { kind: 'end', request: 1, trailers: [] }, { kind: 'end', request: 1, trailers: [] }],
  };
  for (const [name, frames] of Object.entries(wrong)) {
    const agent = new AgentTunnel({ write: () => true }, () => new Told());
    t.throws(() => agent.receive(encodeFrames(frames)), { code: 'invalid-argument' }, name);
    t.equal(agent.openCount, 0);
  }
});
