/** What a load balancer knows: which replicas answered their readiness probe last. */

import type { ChaosCluster } from './cluster.js';
import type { ChaosReplica } from './replica.js';

const periodMs = 200;

export class Readiness {
  readonly #cluster: ChaosCluster;
  #ready: readonly ChaosReplica[];
  readonly #timer: NodeJS.Timeout;

  constructor(cluster: ChaosCluster) {
    this.#cluster = cluster;
    this.#ready = cluster.running;
    this.#timer = setInterval(() => void this.#probe(), periodMs);
  }

  get ready(): readonly ChaosReplica[] {
    return this.#ready;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #probe(): Promise<void> {
    const probed = await Promise.all(
      this.#cluster.running
        .map(async (replica) => {
          const response = await fetch(`${replica.restUrl}/readyz`, { signal: AbortSignal.timeout(2_000) });
          await response.body?.cancel();
          return response.ok ? [replica] : [];
        })
        .map((probe) => probe.catch(() => [])),
    );
    this.#ready = probed.flat();
  }
}
