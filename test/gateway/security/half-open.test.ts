/** Attackers that open connections and say nothing, or too little, on a gateway in a process of its own. */

import { connect, type Socket } from 'node:net';
import { test } from 'tap';
import type { Replica } from '../../cluster/replica.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { delaysNobody, dial, metric, portOf, start } from './honest-agent.js';

test('10,000 half-open connections', async (t) => {
  const open = await start(t, { 'kubesvc.grpc.server.maxHalfOpenConnections': 100_000 });
  const strict = await start(t, { 'kubesvc.grpc.server.maxHalfOpenConnections': 500 });
  const agent = await RawAgent.register(t, strict.agentsAddress, { agentId: 'honest', accounts: [{ name: 'honest' }] });
  const attack = async ({ agentsAddress }: Replica): Promise<Socket[]> => {
    const sockets: Socket[] = [];
    for (let batch = 0; batch < 20; batch += 1) {
      const opened = Array.from({ length: 500 }, () => {
        const socket = connect(portOf(agentsAddress), '127.0.0.1');
        socket.on('error', () => undefined);
        // The beginning of a TLS record, and of the HTTP/2 preface: more has to come.
        socket.on('connect', () => socket.write(batch % 2 === 0 ? '\x16' : 'PRI * H'));
        return socket;
      });
      sockets.push(...opened);
      await waitFor(() => opened.every(({ connecting }) => !connecting), { timeoutMs: 20_000 });
    }
    return sockets;
  };
  const idle = await metric(open, 'process_open_fds');
  const held = await attack(open);
  t.ok((await metric(open, 'process_open_fds')) > idle + 9_000, 'without the defence all are held');
  for (const socket of held) socket.destroy();

  const memory = await metric(strict, 'process_resident_memory_bytes');
  const before = await metric(strict, 'process_open_fds');
  let sockets: Socket[] = [];
  await delaysNobody(t, strict, agent, async () => {
    sockets = await attack(strict);
  });
  await waitFor(async () => (await metric(strict, 'process_open_fds')) < before + 600, { timeoutMs: 10_000 });
  t.ok((await metric(strict, 'agent_gateway_refused_connections_total{port="agents",protocol="limit"')) > 9_000);
  t.ok(strict.log.filter(({ msg }) => msg.startsWith('connection refused')).length < 200, 'the log is not filled');
  const late = await RawAgent.register(t, strict.agentsAddress, { agentId: 'late', accounts: [{ name: 'late' }] });
  t.equal(late.end, undefined, 'an honest agent still gets in');
  for (const socket of sockets) socket.destroy();
  await waitFor(async () => (await metric(strict, 'process_open_fds')) < before + 20, { timeoutMs: 20_000 });
  t.ok((await metric(strict, 'process_resident_memory_bytes')) < memory + (150 << 20), 'the memory is free again');
});

test('connections over the limits', async (t) => {
  const strict = await start(t, { 'server.maxConnectionsPerAddress': 20, 'kubesvc.grpc.server.maxConnections': 5 });
  for (const [port, limit] of [
    [portOf(strict.agentsAddress), 5],
    [Number(new URL(strict.restUrl).port), 15],
  ] as const) {
    const attackers = await Promise.all(Array.from({ length: 40 }, () => dial(t, port)));
    await waitFor(() => attackers.filter(({ closed }) => closed).length >= 20, { timeoutMs: 5_000 });
    t.ok(attackers.filter(({ closed }) => !closed).length >= limit, 'those of before stay');
    for (const { socket } of attackers) socket.destroy();
  }
  await waitFor(async () => (await fetch(`${strict.restUrl}/healthz`)).ok, { timeoutMs: 10_000 });
});
