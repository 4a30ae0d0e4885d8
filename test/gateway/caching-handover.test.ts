/** Caching goes from one agent to another without a moment in which both do, however the first one goes. */

import { test, type Test } from 'tap';
import { AgentConnection } from '../../src/agent/connection.js';
import { silentLogger } from '../../src/core/logger.js';
import { startTcpProxy } from '../tcp-proxy.js';
import { waitFor } from '../wait.js';
import { startGateway } from './running-gateway.js';

// Agents that share an account give up after 3,000 ms, and are taken for able to cache for 3,500 ms.
const settings = { 'kubesvc.instances.heartbeatMs': 500, 'kubesvc.instances.leaseMs': 5_000 };
const heldMs = 3_500;
/** Another takes over within seconds; 15 s on a slow machine. */
const takeOverMs = 15_000;

class CachingAgent {
  /** When it began and stopped to cache, by performance.now(), oldest first. */
  readonly began: number[] = [];
  readonly stopped: number[] = [];
  readonly connection: AgentConnection;

  constructor(t: Test, agentId: string, port: number) {
    this.connection = new AgentConnection({
      addresses: [`127.0.0.1:${port}`],
      registration: { agentId, version: 'test', accounts: [{ name: 'prod' }] },
      execute: () => Promise.resolve({ status: 200 }),
      logger: silentLogger,
      limits: { backoff: { initialMs: 50, maximumMs: 100, multiplier: 1.6, jitter: 0.2 } },
      onCaching: ({ start, stop }) => {
        if (start.length > 0) this.began.push(performance.now());
        if (stop.length > 0) this.stopped.push(performance.now());
      },
    });
    t.teardown(() => this.connection.stop());
    this.connection.start();
  }

  get caches(): boolean {
    // It may be told twice to stop.
    return (this.began.at(-1) ?? 0) > (this.stopped.at(-1) ?? 0);
  }

  active(): Promise<unknown> {
    return waitFor(() => this.connection.state.name === 'active');
  }
}

async function setUp(t: Test) {
  const { agentsPort } = await startGateway(t, settings);
  const proxy = await startTcpProxy({ port: agentsPort });
  t.teardown(() => proxy.close());
  const first = new CachingAgent(t, 'first', proxy.port);
  await waitFor(() => first.caches);
  const second = new CachingAgent(t, 'second', agentsPort);
  await second.active();
  return { proxy, agentsPort, first, second };
}

test('an agent that does not notice that its connection is cut stops before another begins', async (t) => {
  const { proxy, agentsPort, first, second } = await setUp(t);
  const cutAt = performance.now();
  proxy.cutUnnoticed();
  // One that comes only now does not begin earlier either.
  const third = new CachingAgent(t, 'third', agentsPort);
  await waitFor(() => second.caches || third.caches);
  const [stoppedAt = 0, beganAt = 0] = [first.stopped[0], second.began[0] ?? third.began[0]];
  t.ok(stoppedAt > cutAt && stoppedAt - cutAt < takeOverMs, `it stopped after ${stoppedAt - cutAt} ms`);
  t.ok(beganAt > stoppedAt, `the other began ${beganAt - stoppedAt} ms later`);
  t.ok(beganAt - cutAt < takeOverMs, `${beganAt - cutAt} ms after the cut`);
  t.ok(second.caches && !third.caches, 'the one that is connected longest');
});

test('an agent whose link was only slow goes on with its stream, and is told again what it caches', async (t) => {
  // On a slow machine the link may be healed after the gateway took the agent for lost, or the agent's new dial may be
  // registered before its old stream is heard: then this did not happen.
  for (let attempt = 1; attempt <= 5; attempt += 1) {
    const { proxy, first, second } = await setUp(t);
    const { state } = first.connection;
    const dialled = proxy.connections;
    proxy.stall();
    await waitFor(() => !first.caches);
    await proxy.heal();
    await waitFor(() => first.caches || second.caches);
    if (second.began.length > 0 || first.stopped.length > 1) continue;
    t.strictSame(first.connection.state, state, 'the stream is the same one');
    t.ok(proxy.connections <= dialled + 1, 'what it dialled meanwhile is gone');
    t.notOk(second.caches);
    return;
  }
  t.fail('the link was healed too late in every attempt');
});

test('an agent that is back soon goes on caching', async (t) => {
  const { proxy, first, second } = await setUp(t);
  await proxy.cut();
  await proxy.heal();
  const cutAt = performance.now();
  await waitFor(() => first.began.length === 2);
  t.ok(performance.now() - cutAt < heldMs, 'at once');
  await waitFor(() => performance.now() - cutAt > heldMs + 1_000);
  t.ok(first.caches);
  t.same(second.began, [], 'the other one never did');
});

test('an agent that leaves in order hands over at once', async (t) => {
  const { first, second } = await setUp(t);
  await first.connection.stop();
  const leftAt = performance.now();
  await waitFor(() => second.caches);
  t.ok((second.began[0] ?? 0) - leftAt < heldMs, `after ${(second.began[0] ?? 0) - leftAt} ms`);
  t.ok((second.began[0] ?? 0) > (first.stopped[0] ?? Number.POSITIVE_INFINITY));
});
