/** Attackers of what is parsed: bodies and messages that are huge, deep or packed, and ids that are meant for the log. */

import { create, toBinary } from '@bufbuild/protobuf';
import { gzipSync } from 'node:zlib';
import { connect } from 'node:net';
import { test, type Test } from 'tap';
import { AgentMessageSchema } from '../../../src/protocol/generated/ops/operations_pb.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway, type RunningGateway } from '../running-gateway.js';
import { fields, frame, frameTypes, endHeaders, endStream, grpcMessage, preface } from './http2-frames.js';

const operationPath = '/armory/agent/operations';

function post(
  gateway: RunningGateway,
  body: string | Buffer,
  headers: Record<string, string> = {},
  path = operationPath,
) {
  return gateway.request(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: body as never,
  });
}

/** How long this process does nothing else while the gateway in it deals with something, in ms. */
async function longestPause(during: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1);
  try {
    await during();
  } finally {
    clearInterval(timer);
  }
  return longest;
}

test('bodies', async (t) => {
  const gateway = await startGateway(t, { 'server.maxBodySize': '1MB' });
  const agent = await RawAgent.register(t, gateway.agentsAddress, { agentId: 'a', accounts: [{ name: 'a' }] });
  const text = (operation: string): string => JSON.stringify({ operation });
  const deep = 100_000;
  const bodies: Readonly<
    Record<string, { readonly body: string | Buffer; readonly status: number; headers?: Record<string, string> }>
  > = {
    'deep JSON': { body: `{"operation":${'['.repeat(deep)}${']'.repeat(deep)}}`, status: 400 },
    'deep objects': { body: `{"operation":${'{"get":'.repeat(20_000)}1${'}'.repeat(20_000)}}`, status: 400 },
    'deep text format': { body: text('a{'.repeat(deep) + '}'.repeat(deep)), status: 400 },
    'deep unknown fields of the text format': { body: text('1: {'.repeat(deep) + '}'.repeat(deep)), status: 400 },
    // Each message of a sequence is refused by itself.
    'deep groups of protobuf': {
      body: Buffer.concat([Buffer.from([0xa0, 0x9c, 0x01]), Buffer.alloc(20_000, 0x0b)]),
      status: 200,
      headers: { 'content-type': 'application/x-protobuf' },
    },
    'a number with a million digits': { body: text(`timeout_ms: ${'9'.repeat(900_000)}`), status: 400 },
    'a million strings': { body: text(`account: ${'"a" '.repeat(140_000)}`), status: 400 },
    'a million fields': { body: text('account: "a" '.repeat(50_000)), status: 400 },
    'names of the prototype': {
      body: '{"operation":{"__proto__":{"account":"a"},"constructor":{"prototype":1}}}',
      status: 400,
    },
    'more than is allowed': { body: text('#'.repeat(2 << 20)), status: 413 },
    // Nothing is unpacked, so that it is no JSON.
    'a packed body': { body: gzipSync(Buffer.alloc(64 << 20)), status: 400, headers: { 'content-encoding': 'gzip' } },
    'UTF-16': { body: Buffer.from(text('account: "a"'), 'utf16le'), status: 400 },
  };
  for (const [attack, { body, status, headers }] of Object.entries(bodies)) {
    await t.test(attack, async (t) => {
      let answer: Awaited<ReturnType<typeof post>> | undefined;
      const pause = await longestPause(async () => (answer = await post(gateway, body, headers)));
      t.equal(answer?.status, status, JSON.stringify(answer?.body).slice(0, 300));
      t.ok(pause < 1_000, `nothing else was done for ${pause.toFixed(0)} ms`);
      t.ok(JSON.stringify(answer?.body).length < 2_000, 'it is not sent back');
    });
  }
  t.equal(agent.end, undefined);
});

test('messages of agents', async (t) => {
  const gateway = await startGateway(t, { 'kubesvc.grpc.server.maxInboundMessageSize': '1MB' });
  const honest = await RawAgent.register(t, gateway.agentsAddress, { agentId: 'a', accounts: [{ name: 'a' }] });
  /** Sends one gRPC message behind headers that say that it may be packed; gives what came back as text. */
  const send = async (message: Buffer): Promise<string> => {
    const socket = connect(gateway.agentsPort, '127.0.0.1');
    t.teardown(() => socket.destroy());
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => undefined);
    const headers = [
      ...([
        [':method', 'POST'],
        [':scheme', 'http'],
        [':path', '/ops.Operations/Connect'],
        [':authority', 'g'],
      ] as const),
      ...([
        ['content-type', 'application/grpc'],
        ['te', 'trailers'],
        ['grpc-encoding', 'gzip'],
      ] as const),
    ];
    const data: Buffer[] = [];
    for (let at = 0; at < message.length; at += 16_000)
      data.push(frame(frameTypes.data, 0, 1, message.subarray(at, at + 16_000)));
    socket.write(Buffer.concat([preface(), frame(frameTypes.headers, endHeaders, 1, fields(...headers)), ...data]));
    // More than fits into the window of a client that does not agree to a larger one ends its stream.
    const reset = Buffer.from([0, 0, 4, frameTypes.reset, 0, 0, 0, 0, 1]);
    const ended = (came: Buffer): boolean =>
      came.includes('grpc-status') || came.includes(reset) || came.length > 100 || socket.destroyed;
    await waitFor(() => ended(Buffer.concat(chunks)));
    return Buffer.concat(chunks).toString('latin1');
  };
  const memory = () => process.memoryUsage().rss;
  await t.test('a packed message', async () => {
    const before = memory();
    await send(grpcMessage(gzipSync(Buffer.alloc((60 << 10) << 10)), true));
    t.ok(memory() - before < 300 << 20, `${String((memory() - before) >> 20)} MB more`);
  });
  await t.test('a length that never comes', async () => {
    const before = memory();
    const head = Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]);
    await send(head);
    t.ok(memory() - before < 100 << 20);
  });
  await t.test('deep groups', async () => {
    await send(grpcMessage(Buffer.alloc(500_000, 0x0b)));
  });
  t.equal(honest.end, undefined, 'the honest agent is served');
  const answering = gateway.operate({ account: 'a', get: { object: { kind: 'Pod', name: 'x' } } });
  const { id } = await honest.next('operation');
  honest.send({ case: 'result', value: { operationId: id, account: 'a', status: 200 } });
  t.equal((await answering).status, 200);
});

test('ids that are meant for something else', async (t) => {
  const gateway = await startGateway(t);
  const bad = [
    'a\nb',
    'a\r\nx: y',
    '\x1b[31mred',
    '../../etc',
    'a%00b',
    '\u202Eevil',
    'a b',
    "a';drop table",
    'a\u0000b',
    '{"a":1}',
  ];
  const refuses = async (t: Test, make: (word: string) => Parameters<RawAgent['send']>[0]): Promise<void> => {
    for (const word of bad) {
      const agent = new RawAgent(gateway.agentsAddress);
      t.teardown(() => agent.close());
      agent.send(make(word));
      await waitFor(() => agent.end !== undefined || agent.all('registered').length > 0);
      if (word === '../../etc') t.equal(agent.end, undefined, 'a name with slashes is one: it never becomes a path');
      else t.equal(agent.end?.code, 3, JSON.stringify(word));
    }
  };
  await t.test('agents', (t) =>
    refuses(t, (agentId) => ({ case: 'register', value: { agentId, accounts: [{ name: 'x' }] } })),
  );
  await t.test('zones', (t) =>
    refuses(t, (zoneId) => ({ case: 'register', value: { agentId: 'z', zoneId, accounts: [{ name: 'y' }] } })),
  );
  await t.test('accounts', (t) =>
    refuses(t, (name) => ({ case: 'register', value: { agentId: 'b', accounts: [{ name }] } })),
  );
  await t.test('paths and headers', async (t) => {
    for (const word of bad) {
      const path = encodeURIComponent(word);
      for (const url of [
        `/armory/agents/${path}`,
        `/armory/agent/operations/${path}`,
        `/armory/clouddrivers/${path}`,
      ]) {
        const { status, headers } = await gateway.request(url);
        t.ok([400, 404].includes(status), `${url}: ${String(status)}`);
        t.notOk(headers.has('x'), 'no header of theirs');
      }
    }
    t.equal((await gateway.request('/armory/agents/..%2f..%2fhealthz')).status, 404);
    const { status } = await post(gateway, '{}', {
      prefer: 'wait=1; x="\u00ff"',
      traceparent: '00-zz',
      'x-agent-gateway-forwarded-by': 'a b',
    });
    t.ok([400, 403].includes(status));
  });
  await t.test('operation ids', async (t) => {
    for (const word of bad) {
      const { status } = await gateway.operate({ id: word, account: 'a', get: { object: { kind: 'Pod', name: 'x' } } });
      t.ok([400, 404, 503].includes(status), `${JSON.stringify(word)}: ${String(status)}`);
    }
  });
  await t.test('results', async (t) => {
    const agent = await RawAgent.register(t, gateway.agentsAddress, { agentId: 'r', accounts: [{ name: 'r' }] });
    for (const word of bad)
      agent.sendBytes(
        toBinary(
          AgentMessageSchema,
          create(AgentMessageSchema, {
            message: { case: 'result', value: { operationId: word, status: 200, message: word } as never },
          }),
        ),
      );
    await waitFor(() => agent.all('receipt').length >= bad.length - 2 || agent.end !== undefined);
  });
  // The logger writes JSON: one line for each event, whatever is in it, and nothing that a terminal would act on.
  for (const line of gateway.log) t.notMatch(JSON.stringify(line), /\p{Cc}/u);
});

test('a request whose headers never end, over HTTP/2', async (t) => {
  const gateway = await startGateway(t);
  const socket = connect(gateway.restPort, '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined);
  const many = Buffer.concat(
    Array.from({ length: 400 }, (_, index) => fields([`x-${String(index)}`, 'y'.repeat(100)])),
  );
  const head = fields([':method', 'GET'], [':scheme', 'http'], [':path', '/armory/agents'], [':authority', 'g']);
  const parts = Array.from({ length: Math.ceil(many.length / 16_000) }, (_, index) =>
    many.subarray(index * 16_000, (index + 1) * 16_000),
  );
  const continued = parts.map((part, index) =>
    frame(frameTypes.continuation, index === parts.length - 1 ? endHeaders : 0, 1, part),
  );
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.write(Buffer.concat([preface(), frame(frameTypes.headers, endStream, 1, head), ...continued]));
  await waitFor(() => Buffer.concat(chunks).length > 40 || socket.destroyed);
  t.equal((await gateway.request('/healthz')).status, 200);
});
