/**
 * The checker end to end: a short run that forces the situation a fence is for passes with the sources as they are, and
 * fails with the fence removed.
 */

import { t as root, type Test } from 'tap';
import { fileTimeoutMs } from '../../file-timeout.js';
import { copySources, type Patch } from '../build.js';
import type { Rule } from '../violation.js';
import { ChaosCluster, type ClusterOptions } from '../cluster.js';
import { describeViolations } from '../describe.js';
import { settle } from '../settle.js';

export interface FencedRun {
  readonly cluster: Omit<ClusterOptions, 'seed' | 'build'>;
  /** Forces the situation; callers that it starts must have stopped when it resolves. */
  readonly force: (cluster: ChaosCluster) => Promise<void>;
  /** Of the longest operation, in ms. */
  readonly timeoutMs: number;
  /** Rules that the situation breaks by itself. */
  readonly ignored?: readonly Rule[];
  /** Of several fences, those that are removed where the others must hold alone. */
  readonly patches?: readonly Patch[];
}

root.setTimeout(fileTimeoutMs);

/** @returns the rules that were broken, and what is to be said of them */
async function run({ cluster: options, force, timeoutMs, ignored = [] }: FencedRun, patches: readonly Patch[]) {
  const build = await copySources(patches);
  try {
    const cluster = await ChaosCluster.start({ ...options, seed: 1, build });
    try {
      await force(cluster);
      const { violations: all, events } = await settle(cluster, { timeoutMs, graceMs: 1_000, restMs: 2_000 });
      const violations = all.filter(({ rule }) => !ignored.includes(rule));
      const rules = [...new Set(violations.map(({ rule }) => rule))];
      return { rules, text: violations.length === 0 ? '' : describeViolations(events, violations) };
    } finally {
      await cluster.stop();
    }
  } finally {
    await build.remove();
  }
}

export async function passes(t: Test, fenced: FencedRun): Promise<void> {
  const { rules, text } = await run(fenced, fenced.patches ?? []);
  t.same(rules, [], text);
}

/** On a machine that is busy a replica may find its lease unsure and claim everything again, which mends what broke. */
const attempts = 3;

/** @param patches remove the fence */
export async function breaks(t: Test, fenced: FencedRun, rule: Rule, patches: readonly Patch[]): Promise<void> {
  const broken = new Set<Rule>();
  for (let attempt = 0; attempt < attempts && !broken.has(rule); attempt += 1) {
    for (const one of (await run(fenced, patches)).rules) broken.add(one);
  }
  t.ok(broken.has(rule), `broken: ${[...broken].join(', ')}`);
}
