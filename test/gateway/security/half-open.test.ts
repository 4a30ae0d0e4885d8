/** Attackers that open connections and say nothing, or too little, on a gateway in a process of its own. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import type { Replica } from '../../cluster/replica.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { delaysNobody, dial, metric, portOf, start } from './honest-agent.js';

const attacker = fileURLToPath(new URL('half-open-attacker.ts', import.meta.url));
const connections = 10_000;
/** As many lines a port writes in this time about connections that it refuses. */
const [logLines, logPeriodMs] = [50, 10_000];

test('10,000 half-open connections', async (t) => {
  const [open, strict] = await Promise.all([
    start(t, {
      'kubesvc.grpc.server.maxHalfOpenConnections': 100_000,
      'kubesvc.grpc.server.handshakeTimeoutMs': 60_000,
    }),
    start(t, { 'kubesvc.grpc.server.maxHalfOpenConnections': 500 }),
  ]);
  const agent = await RawAgent.register(t, strict.agentsAddress, { agentId: 'honest', accounts: [{ name: 'honest' }] });
  let attacks = 0;
  const attack = async ({ agentsAddress }: Replica): Promise<() => Promise<void>> => {
    attacks += 1;
    // An address has 28,000 ports for connections, and those of the last attack are not free yet.
    const address = `127.0.1.${String(attacks)}`;
    const args = ['--import=tsx', attacker, String(portOf(agentsAddress)), String(connections), address];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const closed = once(child, 'close');
    const end = async (): Promise<void> => {
      child.kill('SIGKILL');
      await closed;
    };
    t.teardown(end);
    await once(child.stdout, 'data', { signal: AbortSignal.timeout(120_000) });
    return end;
  };
  const idle = await metric(open, 'process_open_fds');
  const release = await attack(open);
  await waitFor(async () => (await metric(open, 'process_open_fds')) > idle + 9_000, {
    description: 'all to be held, without the defence',
  });
  await release();

  const memory = await metric(strict, 'process_resident_memory_bytes');
  const before = await metric(strict, 'process_open_fds');
  const releases: (() => Promise<void>)[] = [];
  // As many operations as the attack takes time for.
  const attackStrict = async () => void releases.push(await attack(strict));
  await delaysNobody(t, strict, agent, attackStrict, 400);
  await waitFor(async () => (await metric(strict, 'process_open_fds')) < before + 600);
  const refused = 'agent_gateway_refused_connections_total{port="agents",protocol="limit"';
  await waitFor(async () => (await metric(strict, refused)) > 9_000);
  const lines = strict.log.filter(({ msg }) => msg.startsWith('connection refused'));
  const [first = 0, last = 0] = [lines[0], lines.at(-1)].map((line) => Date.parse(String(line?.['time'])));
  const periods = (last - first) / logPeriodMs;
  t.ok(lines.length <= logLines * (Math.ceil(periods) + 1), `the log is not filled: ${String(lines.length)} lines`);
  const late = await RawAgent.register(t, strict.agentsAddress, { agentId: 'late', accounts: [{ name: 'late' }] });
  t.equal(late.end, undefined, 'an honest agent still gets in');
  for (const end of releases) await end();
  await waitFor(async () => (await metric(strict, 'process_open_fds')) < before + 20);
  t.ok((await metric(strict, 'process_resident_memory_bytes')) < memory + (150 << 20), 'the memory is free again');
});

test('connections over the limits', async (t) => {
  const strict = await start(t, { 'server.maxConnectionsPerAddress': 20, 'kubesvc.grpc.server.maxConnections': 5 });
  for (const [port, limit] of [
    [portOf(strict.agentsAddress), 5],
    [Number(new URL(strict.restUrl).port), 15],
  ] as const) {
    const attackers = await Promise.all(Array.from({ length: 40 }, () => dial(t, port)));
    await waitFor(() => attackers.filter(({ closed }) => closed).length >= 20);
    t.ok(attackers.filter(({ closed }) => !closed).length >= limit, 'those of before stay');
    for (const { socket } of attackers) socket.destroy();
  }
  await waitFor(async () => (await fetch(`${strict.restUrl}/healthz`)).ok);
});
