/** Owners are killed under load: how soon their accounts are served again, and whether anybody waits for a time-out. */

import { setTimeout as delay } from 'node:timers/promises';
import { Callers } from '../callers.js';
import { ChaosCluster } from '../cluster.js';
import { monotonicMs, type HistoryEvent } from '../history.js';
import { Readiness } from '../readiness.js';
import { summary, type Scenario } from '../scenario.js';
import { settle } from '../settle.js';
import { quantile, table } from '../table.js';

/** As operations have by default: nobody may come near it. */
const timeoutMs = 30_000;
const longestMs = 12_000;
const servedWithinMs = 3_000;
const accounts = 24;

/** An account whose only agent was at a replica that was killed. */
interface Failover {
  /** From the kill to the agent's registration elsewhere, in ms. */
  readonly reconnectedMs: number;
  /** From there to the first operation that succeeds. */
  readonly servedMs: number;
  /** What the first operation that was given after it was answered. */
  readonly first: string;
}

export const ownerKilled: Scenario = {
  name: 'owner-killed',
  description: 'each of 3 replicas is killed under load: its accounts are served within 3 s of their agents’ return',
  run: async ({ seed, scale, build, keepFiles, log }) => {
    const cluster = await ChaosCluster.start({
      ...{ seed, build, keepFiles, replicas: 3, direct: true },
      ...{ groups: 2, accounts, accountsPerAgent: 1, perAccount: 1, slowMs: 200 },
    });
    const readiness = new Readiness(cluster);
    try {
      const targets = (): typeof readiness.ready => readiness.ready;
      const callers = new Callers({ cluster, concurrency: 24, seed, timeoutMs, pauseMs: 100, attempts: 1, targets });
      callers.start();
      await delay(2_000);
      const kills: { readonly id: string; readonly t: number }[] = [];
      for (let round = 0; round < Math.ceil(3 * scale); round += 1) {
        const replica = cluster.replicas[round % 3]!;
        kills.push({ id: replica.id, t: monotonicMs() });
        await replica.process.kill();
        log(`${replica.id} is killed`);
        await cluster.agentsReady();
        await delay(servedWithinMs);
        replica.start();
        await cluster.allReady();
        // The rebalancer gives it agents again, at its own pace; those that dial anew do, too.
        await delay(2_000);
      }
      await callers.stop();
      const verdict = await settle(cluster, { timeoutMs: 5_000 });
      const failovers = kills.flatMap(({ id, t }) => failoversOf(verdict.events, id, t));
      const failures: string[] = [];
      if (failovers.length === 0) failures.push('no agent was at a replica that was killed');
      const served = failovers.map(({ servedMs }) => servedMs);
      if (Math.max(0, ...served) > servedWithinMs)
        failures.push(`an account was served ${Math.max(...served).toFixed(0)} ms after its agent's return`);
      for (const { first } of failovers)
        if (first !== '200') failures.push(`the first operation after an agent's return was answered ${first}`);
      const longest = Math.max(...callers.outcomes.map(({ tookMs }) => tookMs));
      if (longest > longestMs) failures.push(`an operation took ${longest.toFixed(0)} ms`);
      const row = (name: string, values: readonly number[]) =>
        [name, quantile(values, 0.5), Math.max(0, ...values)] as const;
      const reconnected = failovers.map(({ reconnectedMs }) => reconnectedMs);
      const report = [
        `${failovers.length} agents lost their replica`,
        table([
          ['ms', 'median', 'longest'],
          row('kill to the agent’s registration elsewhere', reconnected),
          row('registration to the first success', served),
        ]),
        summary(callers),
      ].join('\n');
      return { violations: verdict.violations, failures, report, directory: cluster.directory, verdict };
    } finally {
      readiness.stop();
      await cluster.stop();
    }
  },
};

function failoversOf(events: readonly HistoryEvent[], replica: string, killedAt: number): Failover[] {
  return Array.from({ length: accounts }, (_, index) => index).flatMap((index) => {
    const agent = `agent-${index}-0`;
    const account = `account-${index}`;
    const connected = events.flatMap((event) => (event.type === 'connected' && event.agent === agent ? [event] : []));
    const last = connected.findLast(({ t, replica: at }) => t < killedAt && at !== null);
    const back = connected.find(({ t, replica: at }) => t >= killedAt && at !== null);
    if (last?.replica !== replica) return [];
    const after = back?.t ?? Number.POSITIVE_INFINITY;
    const given = events.flatMap((event) =>
      event.type === 'submitted' && event.account === account && event.mutating ? [event] : [],
    );
    const answers = new Map(events.flatMap((event) => (event.type === 'answered' ? [[event.id, event] as const] : [])));
    const firstGiven = given.find(({ t }) => t >= after);
    const answer = firstGiven === undefined ? undefined : answers.get(firstGiven.id);
    const success = given
      .flatMap(({ id }) => answers.get(id) ?? [])
      .filter(({ t, status }) => t >= after && status === 200)
      .map(({ t }) => t);
    const first = `${answer?.status ?? 'never'} ${answer?.problem ?? ''}`.trim();
    return [{ reconnectedMs: after - killedAt, servedMs: Math.min(...success) - after, first }];
  });
}
