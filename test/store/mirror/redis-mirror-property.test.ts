/** Whatever happens to the messages, every replica ends at what SQL says. */

import fc from 'fast-check';
import { Redis } from 'ioredis';
import { test } from 'tap';
import { startRedis } from '../../services/redis.js';
import {
  connection,
  registrations,
  startReplica,
  tamperedRedis,
  TruthDouble,
  untilEqual,
  type Replica,
} from './replicas.js';

const signal = AbortSignal.timeout(120_000);
const fates = ['deliver', 'deliver', 'deliver', 'drop', 'repeat', 'hold'] as const;
type Fate = (typeof fates)[number];

/** Gives each message its fate in turn; held ones arrive later, the last first. */
function fateful(plan: readonly Fate[]): { deliver: (text: string) => string[]; end: () => void } {
  let next = 0;
  let ended = false;
  const held: string[] = [];
  const deliver = (text: string): string[] => {
    const fate = ended ? 'deliver' : (plan[next++ % plan.length] ?? 'deliver');
    if (fate === 'drop') return [];
    if (fate === 'repeat') return [text, text];
    if (fate === 'hold') {
      held.push(text);
      return [];
    }
    return [text, ...held.splice(0).reverse()];
  };
  return { deliver, end: () => (ended = true) };
}

test('random claims and releases with lost, repeated and reordered messages end at the truth', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.stop());
  const administrator = new Redis(server.url);
  const step = fc.record({
    replica: fc.integer({ min: 0, max: 2 }),
    agent: fc.integer({ min: 1, max: 3 }),
    accounts: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1 }),
    release: fc.boolean(),
    pause: fc.boolean(),
  });
  const scenario = fc.tuple(
    fc.array(step, { minLength: 1, maxLength: 25 }),
    fc.array(fc.constantFrom(...fates), { minLength: 1, maxLength: 12 }),
  );
  let gaps = 0;
  await fc.assert(
    fc.asyncProperty(scenario, async ([steps, plan]) => {
      await administrator.flushall();
      const truth = new TruthDouble();
      const messages = [0, 1, 2].map((shift) => fateful([...plan.slice(shift), ...plan.slice(0, shift)]));
      const replicas: Replica[] = [];
      try {
        for (const { deliver } of messages) {
          const redis = tamperedRedis(server.url, deliver);
          replicas.push(await startReplica({ teardown: () => undefined }, { url: server.url, truth, redis }));
        }
        let epoch = 1;
        for (const { replica, agent, accounts, release, pause } of steps) {
          const service = replicas[replica]?.service;
          if (release) await service?.release(connection(epoch, `agent-${agent}`), accounts, signal);
          else await service?.claim(connection((epoch += 1), `agent-${agent}`), registrations(...accounts), signal);
          if (pause) await administrator.ping();
        }
        for (const { end } of messages) end();
        for (const replica of replicas) await untilEqual(replica, truth);
        gaps += replicas.reduce((sum, { mirror }) => sum + mirror.statistics().gaps + mirror.statistics().silences, 0);
      } finally {
        await Promise.all(replicas.map((replica) => replica.stop()));
      }
    }),
    { numRuns: 20, endOnFailure: true },
  );
  t.ok(gaps > 0, `${gaps} losses were noticed`);
  administrator.disconnect();
});
