/**
 * Balances the agents over the replicas: a replica with more than its share asks some of its idle agents to dial again,
 * and some of them reach other replicas. Each round moves only some agents, so that the numbers settle and do not
 * swing; an agent with an operation under way is left alone.
 */

import { messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import { jittered } from '../../core/retry.js';
import type { InstanceStore } from '../../store/instances/instances.js';
import type { Registry } from './registry.js';
import type { SessionFrames } from './session-frames.js';
import type { Session } from './session.js';

export interface RebalancerOptions {
  readonly instances: InstanceStore;
  readonly registry: Registry;
  readonly frames: SessionFrames;
  readonly leaseMs: number;
  /** Time between rounds, ±20 %, in ms. */
  readonly periodMs: number;
  /** Tolerated excess over the mean: 1.2 is 20 %. */
  readonly tolerance: number;
  /** Whether the agent must stay for another reason than operations: requests of the Kubernetes API. */
  readonly busy: (session: Session) => boolean;
  readonly logger: Logger;
}

/** Agents of a round are asked over this part of the period, so that they do not come all at once. */
const spread = 0.5;

/**
 * How many agents to ask in one round.
 * @param counts agents of all live instances, the own among them
 */
export function surplus(own: number, counts: readonly number[], tolerance: number): number {
  if (counts.length < 2) return 0;
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  if (own <= Math.max(mean * tolerance, mean + 1)) return 0;
  // About 1/n of the agents that dial again come back here, so somewhat more than the surplus may be asked.
  return Math.ceil(own - mean);
}

export class Rebalancer {
  readonly #options: RebalancerOptions;

  constructor(options: RebalancerOptions) {
    this.#options = options;
  }

  /** Runs until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    const { periodMs, logger } = this.#options;
    const failed = (error: unknown): void => {
      logger.debug({ error: messageOf(error) }, 'could not rebalance agents; retrying');
    };
    const pauseMs = (): number => jittered(periodMs, 0.2);
    return repeat({ pauseMs, failed }, signal, () => this.#round(signal));
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { instances, registry, frames, leaseMs, periodMs, tolerance, busy, logger } = this.#options;
    const live = await instances.live(leaseMs, signal);
    const counts = live.map(({ agents }) => agents);
    const count = surplus(registry.agentCount, counts, tolerance);
    if (count === 0) return;
    let asked = 0;
    for (const session of registry.sessions) {
      if (asked >= count) break;
      if (session.state !== 'active' || session.leaving || session.inFlightCount > 0 || busy(session)) continue;
      session.leaving = true;
      session.send(frames.reconnect('rebalancing', Math.round((asked / count) * periodMs * spread)));
      asked += 1;
    }
    logger.info(
      { agents: registry.agentCount, ofAll: counts, asked },
      'instance has more than its share of agents; asking some to dial again',
    );
  }
}
