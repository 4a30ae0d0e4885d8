/** The checker end to end: the same short run passes with the sources as they are, and fails with one fence removed. */

import { t as root, test } from 'tap';
import { waitFor } from '../wait.js';
import { copySources, type Patch } from './build.js';
import { Callers } from './callers.js';
import type { Rule } from './checker.js';
import { ChaosCluster } from './cluster.js';
import { describeViolations } from './describe.js';
import { readHistory } from './history.js';
import { settle } from './settle.js';

const timeoutMs = 5_000;
const operations = 150;

// tap's own limit for a file is 30 s.
root.setTimeout(110_000);

/**
 * One replica whose agents dial anew every second or two, over a network that repeats operations and results.
 * @returns the rules that were broken, and what is to be said of them
 */
async function shortRun(patches: readonly Patch[]): Promise<{ rules: Rule[]; text: string }> {
  const build = await copySources(patches);
  try {
    const cluster = await ChaosCluster.start({
      seed: 1,
      build,
      replicas: 1,
      groups: 1,
      accounts: 4,
      accountsPerAgent: 2,
      perAccount: 1,
      slowMs: 100,
      duplicates: 0.3,
      settings: { 'kubesvc.grpc.server.maxConnectionAgeSeconds': 1 },
    });
    try {
      const callers = new Callers({ cluster, concurrency: 4, seed: 2, timeoutMs, pauseMs: 20 });
      callers.start();
      await waitFor(() => callers.count >= operations, { timeoutMs: 30_000 });
      await waitFor(() => dials(cluster) >= 3, { timeoutMs: 30_000, description: 'every agent to dial three times' });
      await callers.stop();
      const { violations, events } = await settle(cluster, { timeoutMs: 1_000, graceMs: 1_000, restMs: 2_000 });
      const rules = [...new Set(violations.map(({ rule }) => rule))];
      return { rules, text: violations.length === 0 ? '' : describeViolations(events, violations) };
    } finally {
      await cluster.stop();
    }
  } finally {
    await build.remove();
  }
}

/** How often the agent that registered least did so. */
function dials({ directory, groups }: ChaosCluster): number {
  const events = readHistory(directory);
  const counts = groups
    .flatMap(({ agents }) => agents)
    .map(({ id }) =>
      events.filter((event) => event.type === 'connected' && event.agent === id && event.replica !== null),
    );
  return Math.min(...counts.map(({ length }) => length));
}

test('the sources as they are', async (t) => {
  const { rules, text } = await shortRun([]);
  t.same(rules, [], text);
});

test('an agent that does not look whether it knows an operation', async (t) => {
  const file = 'src/agent/operation-runner.ts';
  const { rules } = await shortRun([
    { file, from: 'if (known !== undefined) {', to: 'if (known !== undefined && false) {' },
    { file, from: 'if (this.#acknowledged.has(operation.id)) return', to: 'if (false) return' },
  ]);
  t.ok(rules.includes('executed once'), rules.join(', '));
});

test('a patch whose text is not there', async (t) => {
  const patch = { file: 'src/main.ts', from: 'no such text', to: '' };
  await t.rejects(copySources([patch]), { message: /there 0 times/u });
});
