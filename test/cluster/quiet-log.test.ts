/** Warnings are for what somebody has to act on: a normal start and a normal stop have none. */

import { test } from 'tap';
import { nodeProblem } from '../../src/core/node-version.js';
import { startSimulatedAgents } from '../../src/simulate/agents.js';
import { startCluster } from './cluster.js';

/** The suite also runs on a Node.js that the product does not support; there, this is worth a warning. */
const unsupported = nodeProblem(process.versions.node)?.text;
const fastBackoff = { backoff: { initialMs: 100, maximumMs: 1_000, multiplier: 1.6, jitter: 0.2 } };

for (const size of [1, 3]) {
  test(`${String(size)} replicas start, serve agents and stop without a warning`, async (t) => {
    // A lease longer than a busy machine may stall: a lapse is worth a warning, and is not what is looked for here.
    const { replicas } = await startCluster(t, { size, settings: { 'kubesvc.instances.leaseMs': 60_000 } });
    const agents = await startSimulatedAgents({
      addresses: replicas.map(({ agentsAddress }) => agentsAddress),
      agents: 6,
      accounts: 2,
      latencyMs: 0,
      limits: fastBackoff,
    });
    t.teardown(() => agents.stop());
    await agents.ready(AbortSignal.timeout(120_000));
    for (const replica of replicas) {
      const [connected] = (await replica.get('/armory/agents')) as readonly { readonly accounts: readonly string[] }[];
      const operation = { account: connected?.accounts[0], get: { object: { kind: 'Pod' } } };
      t.equal((await replica.operate(operation)).status, 200, `${replica.id} serves`);
    }
    for (const replica of replicas) t.equal(await replica.end(), 0, `${replica.id} stopped in order`);
    for (const { id, log, errors } of replicas) {
      t.ok(
        log.some(({ level }) => level === 'info'),
        `${id} logs in the format that is read here`,
      );
      t.same(
        log.filter(({ level, msg }) => level !== 'info' && level !== 'debug' && msg !== unsupported),
        [],
        `${id} has nothing to act on`,
      );
      t.equal(errors, '', `${id} writes nothing on standard error`);
    }
  });
}
