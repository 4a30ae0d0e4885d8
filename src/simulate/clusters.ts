/** The clusters of simulated accounts, and their changes over time. */

import { SimulatedCluster } from './cluster.js';
import { derivedSeed } from './random.js';

export interface SimulatedClustersOptions {
  /** The same seed gives the same clusters; default 1. */
  readonly seed?: number;
  /** Objects of each account's cluster, streamed while the agent caches it; default 0. */
  readonly objects?: number;
  /** Least size of each, in bytes; default 0: as they come. */
  readonly objectBytes?: number;
  /** Changes of each cluster per second; default 0. */
  readonly changeRate?: number;
  /** Changes of each cluster until it rests; default: no end. */
  readonly changes?: number;
}

/** The cluster of an account: the same for the same seed, name and options. */
export function simulatedCluster(
  { seed = 1, objects = 0, objectBytes = 0 }: Pick<SimulatedClustersOptions, 'seed' | 'objects' | 'objectBytes'>,
  account: string,
): SimulatedCluster {
  let hash = 0;
  for (const character of account) hash = (Math.imul(hash, 31) + (character.codePointAt(0) ?? 0)) | 0;
  return new SimulatedCluster({ seed: derivedSeed(seed, hash), objects, objectBytes });
}

const changeTickMs = 100;

/** Changes the clusters over time. @returns how to end it */
export function changeClusters(
  clusters: ReadonlyMap<string, SimulatedCluster>,
  { changeRate = 0, changes = Number.POSITIVE_INFINITY }: Pick<SimulatedClustersOptions, 'changeRate' | 'changes'>,
): () => void {
  if (changeRate === 0) return () => undefined;
  const startedAt = performance.now();
  const timer = setInterval(() => {
    const due = Math.min(changes, Math.floor(((performance.now() - startedAt) / 1_000) * changeRate));
    for (const cluster of clusters.values()) if (due > cluster.step) cluster.advance(due - cluster.step);
    if (due >= changes) clearInterval(timer);
  }, changeTickMs);
  return () => clearInterval(timer);
}
