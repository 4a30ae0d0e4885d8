/** The mirror and the ownership service on the real tables: what SQL does with versions is what they rely on. */

import { silentLogger } from '../../../src/core/logger.js';
import { OwnershipService } from '../../../src/gateway/agents/ownership.js';
import { AssignmentStore } from '../../../src/store/assignments/assignments.js';
import { OwnershipMap } from '../../../src/store/mirror/ownership-map.js';
import type { Ownership } from '../../../src/store/assignments/ownership.js';
import { redisDatabase } from '../../services/databases.js';
import { waitFor } from '../../wait.js';
import { onEveryMigratedEngine } from '../engines.js';
import { connection, registrations, startReplica, claim, release } from './replicas.js';

const signal = AbortSignal.timeout(120_000);

onEveryMigratedEngine(async (t, database) => {
  const truth = new AssignmentStore(database, { leaseMs: 30_000 });

  await t.test('replicas agree with SQL, after claims from both and a Redis that lost everything', async (t) => {
    const { url } = await redisDatabase(t);
    const first = await startReplica(t, { url, truth });
    const second = await startReplica(t, { url, truth });
    const names = Array.from({ length: 620 }, (_, index) => `account-${index}`);
    const one = connection(await truth.nextEpoch(), 'agent-1', 'gateway-1');
    const two = connection(await truth.nextEpoch(), 'agent-2', 'gateway-2');
    await claim(first.service, one, registrations(...names), signal);
    await claim(second.service, two, registrations('account-1', 'account-2'), signal);
    const again = connection(await truth.nextEpoch(), 'agent-1', 'gateway-2');
    await claim(second.service, again, registrations('account-2'), signal);
    await release(first.service, one, ['account-3'], signal);

    const agree = async (): Promise<void> => {
      const rows = await truth.find(names, signal);
      for (const { map, mirror } of [first, second]) {
        await waitFor(
          () => mirror.state.name === 'live' && [...rows.values()].every((row) => same(map.get(row.account), row)),
          {
            description: 'the map to be what SQL says',
          },
        );
        t.equal(map.size, names.length);
      }
    };
    await agree();
    t.match(first.service.resolve('account-2'), { assignments: [{ epoch: again.epoch }, { epoch: two.epoch }] });
    const rebuilds = (): number => first.mirror.statistics().rebuilds + second.mirror.statistics().rebuilds;
    t.equal(rebuilds(), 1);
    await first.redis.flushall();
    await waitFor(() => rebuilds() === 2);
    await agree();
    t.equal(rebuilds(), 2);
  });

  await t.test('a single replica needs no Redis', async (t) => {
    const service = new OwnershipService({ assignments: truth, map: new OwnershipMap(), logger: silentLogger });
    t.equal(await service.resolve('nobody'), undefined);
    const one = connection(await truth.nextEpoch());
    await claim(service, one, registrations('a'), signal);
    t.match(service.resolve('a'), { assignments: [{ epoch: one.epoch, caching: true }] });
    await release(service, one, ['a'], signal);
    t.same((await service.refresh('a', signal))?.assignments, []);
  });
});

/** In whatever order assignments come. */
function same(held: Ownership | undefined, row: Ownership): boolean {
  const text = ({ version, assignments }: Ownership): string =>
    JSON.stringify([version, assignments.map((a) => [a.agentId, a.instanceId, a.epoch, a.caching]).sort()]);
  return held !== undefined && text(held) === text(row);
}
