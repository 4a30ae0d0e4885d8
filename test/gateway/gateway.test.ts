/** The composition root: what start() opened, stop() has closed, also when start() fails half-way or never ran. */

import { createServer, connect, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { test } from 'tap';
import { loadConfig } from '../../src/gateway/config/config.js';
import { createGateway, type Gateway } from '../../src/gateway/gateway.js';
import { waitFor } from '../wait.js';
import { RawAgent } from './raw-agent.js';

function create(settings: Readonly<Record<string, string | number>> = {}): Gateway {
  const all = {
    ...{ 'instance.id': 'gateway', 'kubesvc.grpc.server.address': '127.0.0.1' },
    ...{ 'kubesvc.grpc.server.port': 0, 'server.port': 0 },
    ...{ 'kubesvc.drain.timeoutMs': 500, 'kubesvc.drain.reconnectSpreadMs': 0 },
    ...settings,
  };
  const flags = Object.entries(all).map(([key, value]) => `--${key}=${String(value)}`);
  const { config } = loadConfig({ environment: {}, flags, terminal: false });
  return createGateway({ config, version: 'test', logger: pino({ level: 'silent' }) });
}

/** Sockets, servers and timers that keep this process alive, sorted. */
function handles(): string[] {
  return process
    .getActiveResourcesInfo()
    .filter((name) => /^(?:TCP|TTY|Pipe|Timeout|Immediate|FS)/u.test(name))
    .sort();
}

/** What is open now and was not before; sockets take some turns to close, so it looks again for a while. */
async function leftOver(before: readonly string[]): Promise<string[]> {
  for (const deadline = performance.now() + 60_000; ;) {
    // Not waitFor(), whose own timer would be counted.
    await delay(20);
    const left = handles();
    for (const name of before) if (left.includes(name)) left.splice(left.indexOf(name), 1);
    if (left.length === 0 || performance.now() > deadline) return left;
  }
}

async function refuses(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

const timeout = (): AbortSignal => AbortSignal.timeout(120_000);

test('stop() closes what start() opened, with agents and callers connected', async (t) => {
  const before = handles();
  const gateway = create();
  const starting = gateway.start(timeout());
  t.equal(gateway.start(timeout()), starting, 'start() again gives the same promise');
  const { agentsPort, restPort } = await starting;
  const registration = { agentId: 'agent', accounts: [{ name: 'here' }] };
  const agent = await RawAgent.register(t, `127.0.0.1:${agentsPort}`, registration);
  const silent = [connect(agentsPort, '127.0.0.1'), connect(restPort, '127.0.0.1')];
  for (const socket of silent) socket.on('error', () => undefined);
  const kept = connect(restPort, '127.0.0.1').on('error', () => undefined);
  kept.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(kept, 'data');

  const stopping = gateway.stop();
  t.equal(gateway.stop(), stopping, 'stop() again gives the same promise');
  await stopping;
  await gateway.done;
  t.ok(await refuses(agentsPort));
  t.ok(await refuses(restPort));
  await agent.ended();
  agent.close();
  await waitFor(() => [...silent, kept].every(({ destroyed }) => destroyed), {
    description: 'every client to be cut off',
  });
  t.same(await leftOver(before), [], 'no handle is left open');
});

test('a start that fails half-way closes what it opened', async (t) => {
  const before = handles();
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const gateway = create({ 'server.port': (other.address() as AddressInfo).port });
  const error = { code: 'configuration', details: { field: 'server.port' } };
  await t.rejects(gateway.start(timeout()), error);
  await gateway.stop();
  other.close();
  t.same(await leftOver(before), [], 'no handle is left open');
});

test('stop() before start() ends at once', async (t) => {
  const gateway = create();
  await gateway.stop();
  await gateway.done;
  t.pass();
});
