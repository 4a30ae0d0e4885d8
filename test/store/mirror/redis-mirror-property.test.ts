/** Whatever happens to the messages, every replica ends at what SQL says. */

import fc from 'fast-check';
import { Redis } from 'ioredis';
import { test } from 'tap';
import { startRedis } from '../../services/redis.js';
import { waitFor } from '../../wait.js';
import {
  claim,
  release,
  connection,
  registrations,
  startReplica,
  tamperedRedis,
  TruthDouble,
  untilEqual,
  type Replica,
} from './replicas.js';

const hash = '{agent-gateway:ownership}:accounts';
const channel = '{agent-gateway:ownership}:changes';
const signal = AbortSignal.timeout(120_000);
const fates = ['deliver', 'deliver', 'deliver', 'drop', 'repeat', 'hold'] as const;
type Fate = (typeof fates)[number];

/** Gives each message its fate in turn; held ones arrive later, the last first. */
function fateful(plan: readonly Fate[]): { deliver: (text: string) => string[]; seen: string[]; end: () => void } {
  let next = 0;
  let ended = false;
  const held: string[] = [];
  const seen: string[] = [];
  const deliver = (text: string): string[] => {
    seen.push(text);
    const fate = ended ? 'deliver' : (plan[next++ % plan.length] ?? 'deliver');
    if (fate === 'drop') return [];
    if (fate === 'repeat') return [text, text];
    if (fate === 'hold') {
      held.push(text);
      return [];
    }
    return [text, ...held.splice(0).reverse()];
  };
  return { deliver, seen, end: () => (ended = true) };
}

test('random claims and releases with lost, repeated and reordered messages end at the truth', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.stop());
  const administrator = new Redis(server.url);
  t.teardown(() => {
    administrator.disconnect();
  });
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
        for (const { replica, agent, accounts, release: releases, pause } of steps) {
          const service = replicas[replica]?.service;
          if (service === undefined) continue;
          if (releases) await release(service, connection(epoch, `agent-${agent}`), accounts, signal);
          else await claim(service, connection((epoch += 1), `agent-${agent}`), registrations(...accounts), signal);
          if (pause) await administrator.ping();
        }
        for (const { end } of messages) end();
        for (const replica of replicas) await untilEqual(replica, truth);
        // All of them once more, the newest first: very late now, and without a gap that would lead to a reload.
        const generation = String(await administrator.hget(hash, '\0generation'));
        const late = [...(messages[0]?.seen ?? [])].reverse().filter((text) => text.includes(generation));
        const last = JSON.stringify({ generation, sequence: 0 });
        for (const text of [...late, last]) await administrator.publish(channel, text);
        // Not always as the last one seen: replicas publish signs of life, too.
        await waitFor(() => messages.every(({ seen }) => seen.includes(last)));
        for (const replica of replicas) await untilEqual(replica, truth, 1_000);
        gaps += replicas.reduce((sum, { mirror }) => sum + mirror.statistics().gaps + mirror.statistics().silences, 0);
      } finally {
        await Promise.all(replicas.map((replica) => replica.stop()));
      }
    }),
    { numRuns: 20, endOnFailure: true },
  );
  t.ok(gaps > 0, `${gaps} losses were noticed`);
});
