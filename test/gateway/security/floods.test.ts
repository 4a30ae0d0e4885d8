/**
 * Attackers that flood a gateway in a process of its own with frames. While they are at it an honest agent is served about
 * as fast as before, and afterwards the memory is free.
 */

import { test } from 'tap';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { delaysNobody, dial, flood, metric, p99, portOf, start } from './honest-agent.js';
import { endHeaders, fields, frame, frameTypes, grpcCall, preface } from './http2-frames.js';

test('floods of frames', async (t) => {
  const gateway = await start(t, {});
  const agent = await RawAgent.register(t, gateway.agentsAddress, {
    agentId: 'honest',
    accounts: [{ name: 'honest' }],
  });
  const ports = { agents: portOf(gateway.agentsAddress), rest: Number(new URL(gateway.restUrl).port) };
  const many = (count: number, make: (index: number) => Buffer): Buffer =>
    Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));
  const unread = Buffer.alloc(4);
  unread.writeUInt32BE(8);
  /** What is sent again and again; whether the library ends the connection for it. */
  const floods: Readonly<
    Record<
      string,
      { readonly bytes: Buffer; readonly times: number; readonly ends: boolean; readonly operations?: number }
    >
  > = {
    'rapid reset (CVE-2023-44487)': {
      bytes: many(20_000, (index) =>
        Buffer.concat([
          grpcCall(2 * index + 1, '/ops.Operations/Connect'),
          frame(frameTypes.reset, 0, 2 * index + 1, unread),
        ]),
      ),
      times: 1,
      ends: true,
      // The library lets a thousand through before it ends the connection: a moment, that must not be felt.
      operations: 600,
    },
    'endless headers (CVE-2024-27316)': {
      bytes: Buffer.concat([
        frame(frameTypes.headers, 0, 1, fields([':method', 'GET'])),
        many(20_000, () => frame(frameTypes.continuation, 0, 1, fields(['x', 'y'.repeat(100)]))),
      ]),
      times: 1,
      ends: true,
    },
    'more headers than are allowed': {
      bytes: frame(
        frameTypes.headers,
        endHeaders,
        1,
        many(150, () => fields(['x-filler', 'y'.repeat(100)])),
      ),
      times: 1,
      ends: false,
    },
    pings: { bytes: many(10_000, () => frame(frameTypes.ping, 0, 0, Buffer.alloc(8))), times: 20, ends: false },
    settings: { bytes: many(10_000, () => frame(frameTypes.settings, 0, 0)), times: 20, ends: false },
    'empty data': {
      bytes: Buffer.concat([grpcCall(1, '/ops.Operations/Connect'), many(20_000, () => frame(frameTypes.data, 0, 1))]),
      times: 1,
      ends: false,
    },
    priorities: {
      bytes: many(10_000, () => frame(frameTypes.priority, 0, 1, Buffer.alloc(5))),
      times: 10,
      ends: false,
    },
  };
  const memory = await metric(gateway, 'process_resident_memory_bytes');
  for (const [attack, { bytes, times, ends, operations = 100 }] of Object.entries(floods)) {
    for (const [name, port] of Object.entries(ports)) {
      await t.test(`${attack}, port of ${name}`, async (t) => {
        await delaysNobody(
          t,
          gateway,
          agent,
          async () => {
            const attacker = await dial(t, port);
            attacker.socket.write(preface());
            await flood(attacker, bytes, times);
            if (ends)
              await waitFor(() => attacker.closed || attacker.saysGoodbye, {
                description: 'the connection to be given up',
              });
            attacker.socket.destroy();
          },
          operations,
        );
      });
    }
  }
  t.equal(agent.end, undefined, 'the honest agent was served all the time');
  await waitFor(async () => (await metric(gateway, 'process_resident_memory_bytes')) < memory + (200 << 20), {
    description: 'the memory to be free again',
  });
});

test('acknowledgements that are never read', async (t) => {
  const gateway = await start(t, {});
  const agent = await RawAgent.register(t, gateway.agentsAddress, {
    agentId: 'honest',
    accounts: [{ name: 'honest' }],
  });
  for (const port of [portOf(gateway.agentsAddress), Number(new URL(gateway.restUrl).port)]) {
    const attacker = await dial(t, port);
    attacker.socket.pause();
    attacker.socket.write(preface());
    const pings = Buffer.concat(Array.from({ length: 10_000 }, () => frame(frameTypes.ping, 0, 0, Buffer.alloc(8))));
    const memory = await metric(gateway, 'process_resident_memory_bytes');
    let written = 0;
    for (; written < 40 && attacker.socket.writableLength < 10_000_000; written += 1) attacker.socket.write(pings);
    await p99(gateway, agent, 50);
    t.ok((await metric(gateway, 'process_resident_memory_bytes')) < memory + (100 << 20), 'what waits is bounded');
    attacker.socket.destroy();
  }
  t.equal(agent.end, undefined);
});
