/**
 * Looks after open streams: pings them, ends those that fell silent, forgets operations that nobody waits for any more
 * and asks agents of old connections to dial again, so that they spread over the replicas.
 */

import { GatewayError } from '../../core/errors.js';
import { wait } from '../../core/retry.js';
import type { Registry } from './registry.js';
import type { SessionFrames } from './session-frames.js';
import type { Session } from './session.js';

export interface LivenessOptions {
  readonly registry: Registry;
  readonly frames: SessionFrames;
  /** Time between pings, in ms; an agent that answers pings and is silent for five of them is lost. */
  readonly pingPeriodMs: number;
  /** How long an agent goes on caching after the last that it heard, in ms. */
  readonly cachesOnMs: number;
  /** Age at which a connection is asked to dial again, ±10 %, in ms; 0: never. */
  readonly maxConnectionAgeMs: number;
  readonly now: () => number;
}

/**
 * An agent takes its link for dead after three periods without a ping, and then caches no more. It must have done so
 * before this side gives its accounts to another: so a link that is broken in one direction only is not pinged on, and
 * is given up two periods later than the agent does.
 */
const silentPeriods = 5;
const unansweredPeriods = 1.5;
/** So long may an agent take to dial again once its token or certificate has expired, in ms. */
const expiryGraceMs = 60_000;

export class Liveness {
  readonly #options: LivenessOptions;
  #sequence = 0;

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      await wait(this.#options.pingPeriodMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      this.#sequence += 1;
      for (const session of [...this.#options.registry.sessions]) if (session.state === 'active') this.#look(session);
    }
  }

  #look(session: Session): void {
    const { registry, frames, pingPeriodMs, cachesOnMs, maxConnectionAgeMs, now } = this.#options;
    const time = now();
    const { agentId, epoch } = session.identity;
    const silentMs = session.answersPings ? time - session.lastHeard : 0;
    if (silentMs > silentPeriods * pingPeriodMs) {
      registry.closed(
        session,
        new GatewayError('agent-lost', `agent ${agentId} has been silent for ${String(silentMs)} ms`, {
          agentId,
        }),
        Math.max(0, cachesOnMs - (time - session.lastSent)),
      );
      return;
    }
    session.forgetExpired(time);
    // An agent that is behind has not read the last ones: callers are told (429), and its silence ends it.
    if (session.queueLength > 0) return;
    if (silentMs < unansweredPeriods * pingPeriodMs) session.send(frames.ping(this.#sequence, pingPeriodMs));
    const expiredMs = time - (session.peer?.expiresAt ?? time);
    if (expiredMs > expiryGraceMs) {
      const message = `agent ${agentId} has not dialled again with a new proof of its identity`;
      registry.closed(session, new GatewayError('unauthenticated', message, { agentId }));
      return;
    }
    if (expiredMs > 0 && !session.leaving) {
      session.leaving = true;
      session.send(frames.reconnect('requested', 0));
      return;
    }
    // The epoch spreads the ages over ±10 %: agents that came together do not leave together.
    const age = maxConnectionAgeMs * (0.9 + (epoch % 1_000) / 5_000);
    if (maxConnectionAgeMs > 0 && !session.leaving && session.queueLength === 0 && time - session.connectedAt > age) {
      session.leaving = true;
      session.send(frames.reconnect('rebalancing', 0));
    }
  }
}
