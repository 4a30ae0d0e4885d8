/** How agents lie on replicas. */

import { waitFor } from '../wait.js';
import type { ChaosCluster } from './cluster.js';

export interface Spread {
  /** Agents by replica, those without any included. */
  readonly agents: Readonly<Record<string, number>>;
  /** The most that one has, in terms of the mean. */
  readonly maximumToMean: number;
}

export async function readSpread({ running }: ChaosCluster): Promise<Spread> {
  const [first] = running;
  if (first === undefined) throw new Error('no replica runs');
  const response = await fetch(`${first.restUrl}/armory/agents`, { signal: AbortSignal.timeout(10_000) });
  const listed = (await response.json()) as { clouddriverId: string }[];
  const agents = Object.fromEntries(
    running.map(({ id }) => [id, listed.filter(({ clouddriverId }) => clouddriverId === id).length]),
  );
  return { agents, maximumToMean: (Math.max(...Object.values(agents)) * running.length) / Math.max(1, listed.length) };
}

export function isEven({ agents, maximumToMean }: Spread, limit: number): boolean {
  return maximumToMean <= limit && Object.values(agents).every((count) => count > 0);
}

/** Waits until no replica has more than `limit` times the mean, and none is without agents. @returns the last look, and how long it took, in ms */
export async function evenSpread(
  cluster: ChaosCluster,
  limit: number,
  timeoutMs: number,
): Promise<Spread & { readonly tookMs: number }> {
  const started = performance.now();
  let last = await readSpread(cluster);
  await waitFor(
    async () => {
      last = await readSpread(cluster);
      return isEven(last, limit);
    },
    { timeoutMs, intervalMs: 500 },
  ).catch(() => undefined);
  return { ...last, tookMs: performance.now() - started };
}

export function describeSpread({ agents, maximumToMean }: Spread): string {
  const counts = Object.entries(agents).map(([id, count]) => `${id} ${count}`);
  return `${counts.join(', ')}: at most ${maximumToMean.toFixed(2)} times the mean`;
}
