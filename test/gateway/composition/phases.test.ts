/**
 * The order in which a gateway starts and stops: what each phase takes is let go of in reverse order, after the last phase
 * and after a failure in any of them.
 */

import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { pino } from 'pino';
import { test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { silentLogger } from '../../../src/core/logger.js';
import { ReleaseStack, type Release } from '../../../src/core/release-stack.js';
import { LocalDiscovery } from '../../../src/discovery/local.js';
import { loadConfig } from '../../../src/gateway/config/config.js';
import { createGateway } from '../../../src/gateway/gateway.js';

/** In the order of the phases: the names that the gateway gives to what it takes. */
const takenBy = {
  connect: ['tracing', 'metrics', 'database', 'database of the lease', 'discovery'],
  assemble: [
    ...['presence', 'rival processes', 'recorder', 'refusals', 'refusals', 'forwarder', 'forwarder to gone instances'],
    ...['recovery', 'recovery', 'registry', 'agent tunnels', 'caching switches'],
  ],
  joinCluster: [
    ...['lease', 'lease', 'dynamic accounts', 'adoption', 'presence', 'reaper', 'caching election', 'rebalancer'],
    ...['liveness', 'account clean-up', 'cache clean-up', 'forgetting of what is gone', 'history purge'],
  ],
  openPorts: ['caching', 'Kubernetes API', 'rest', 'files of identities', 'grpc', 'agents port', 'rest port'],
};
const { connect, assemble, joinCluster, openPorts } = takenBy;

class RecordedReleases extends ReleaseStack {
  readonly taken: string[] = [];
  readonly released: string[] = [];

  override push(name: string, release: Release): void {
    this.taken.push(name);
    super.push(name, async () => {
      this.released.push(name);
      await release();
    });
  }
}

/** Discovery is asked in three of the phases: here it fails in one of them. */
class FailingDiscovery extends LocalDiscovery {
  constructor(readonly failures: Partial<Record<'start' | 'onChange' | 'setReady', () => void>>) {
    super({ self: { id: 'gateway', baseUrl: 'http://127.0.0.1:7002' }, logger: silentLogger });
  }

  override start(signal: AbortSignal): Promise<void> {
    this.failures.start?.();
    return super.start(signal);
  }

  override onChange(listener: Parameters<LocalDiscovery['onChange']>[0]): () => void {
    this.failures.onChange?.();
    return super.onChange(listener);
  }

  override setReady(ready: boolean): void {
    this.failures.setReady?.();
    super.setReady(ready);
  }
}

function create(database: string, failures: FailingDiscovery['failures'] = {}, restPort = 0) {
  const settings = {
    ...{ 'instance.id': 'gateway', 'sql.url': `pglite:${database}`, 'kubesvc.grpc.server.address': '127.0.0.1' },
    ...{ 'kubesvc.grpc.server.port': 0, 'server.port': restPort },
    ...{ 'kubesvc.drain.timeoutMs': 0, 'kubesvc.drain.reconnectSpreadMs': 0 },
    ...{ 'kubesvc.dynamicAccounts.enabled': true, 'kubesvc.rebalance.enabled': true },
  };
  const flags = Object.entries(settings).map(([key, value]) => `--${key}=${String(value)}`);
  const { config } = loadConfig({ environment: {}, flags, terminal: false });
  const releases = new RecordedReleases();
  const overrides = { discovery: new FailingDiscovery(failures), releases };
  const gateway = createGateway({ config, version: 'test', logger: pino({ level: 'silent' }), overrides });
  return { gateway, releases };
}

const refused = (): never => {
  throw new GatewayError('dependency-unavailable', 'refused on purpose');
};
const timeout = (): AbortSignal => AbortSignal.timeout(120_000);

test('start and stop', async (t) => {
  // One for all: making a database takes most of the time of a start.
  const database = t.testdir();

  await t.test('a gateway takes its parts phase by phase, and lets go of them in reverse order', async (t) => {
    const { gateway, releases } = create(database);
    await gateway.start(timeout());
    t.same(releases.taken, [...connect, ...assemble, ...joinCluster, ...openPorts]);
    t.same(releases.released, []);
    await gateway.stop();
    t.same(releases.released, [...releases.taken].reverse());
  });

  await t.test('a start that fails in a phase lets go of all that was taken before, in reverse order', async (t) => {
    const phases = [
      { phase: 'connect', failures: { start: refused }, taken: connect },
      { phase: 'assemble', failures: { onChange: refused }, taken: [...connect, ...assemble.slice(0, 6)] },
      {
        phase: 'takeWork',
        failures: { setReady: refused },
        taken: [...connect, ...assemble, ...joinCluster, ...openPorts],
      },
    ];
    for (const { phase, failures, taken } of phases) {
      const { gateway, releases } = create(database, failures);
      await t.rejects(gateway.start(timeout()), { code: 'dependency-unavailable' }, phase);
      t.same(releases.taken, taken, `what is taken before ${phase} fails`);
      t.same(releases.released, [...taken].reverse(), `what is let go of when ${phase} has failed`);
      await gateway.stop();
      await gateway.done;
    }
  });

  await t.test('the same when the start is given up before the lease is taken', async (t) => {
    const givenUp = new AbortController();
    const { gateway, releases } = create(database, {
      onChange: () => givenUp.abort(new GatewayError('cancelled', 'given up')),
    });
    await t.rejects(gateway.start(givenUp.signal), { code: 'cancelled' });
    t.same(releases.taken, [...connect, ...assemble]);
    t.same(releases.released, [...releases.taken].reverse());
  });

  await t.test('the same when a port is taken by another process', async (t) => {
    const other = createServer().listen(0, '127.0.0.1');
    t.teardown(() => other.close());
    await once(other, 'listening');
    const { gateway, releases } = create(database, {}, (other.address() as AddressInfo).port);
    await t.rejects(gateway.start(timeout()), { code: 'configuration', details: { field: 'server.port' } });
    t.same(releases.taken, [...connect, ...assemble, ...joinCluster, ...openPorts]);
    t.same(releases.released, [...releases.taken].reverse());
  });
});
