/**
 * Looks after open streams: pings those of which nothing is heard, ends those that fell silent, forgets operations that
 * nobody waits for any more and asks agents of old connections to dial again, so that they spread over the replicas.
 *
 * One timer for all streams: each tick looks at the next few of them, so that pings are spread over time.
 */

import { GatewayError } from '../../core/errors.js';
import { wait } from '../../core/retry.js';
import { periodOf } from './liveness-times.js';
import type { Registry } from './registry.js';
import type { SessionFrames } from './session-frames.js';
import type { Session } from './session.js';

export interface LivenessOptions {
  readonly registry: Pick<Registry, 'sessions' | 'closed'>;
  readonly frames: Pick<SessionFrames, 'ping' | 'reconnect'>;
  /** An agent that answers pings and of which nothing is heard for so long is lost, in ms; and it gives this replica up. */
  readonly silenceMs: number;
  /** How long an agent goes on caching after the last that it heard, in ms. */
  readonly cachesOnMs: number;
  /** Age at which a connection is asked to dial again, ±10 %, in ms; 0: never. */
  readonly maxConnectionAgeMs: number;
  readonly now: () => number;
}

/** A ping goes out when nothing was sent, or nothing heard, for this part of the silence that ends a stream. */
const quietPart = 5 / 8;
/** Every stream is looked at so often within the silence that ends it. */
const looksPerSilence = 16;
/** In so many parts, one after the other. */
const ticksPerLook = 10;
/** A tick that comes late by this part of the silence: this process was stopped, and has not read what agents sent. */
const stalledPart = 1 / 8;
/** So long may an agent take to dial again once its token or certificate has expired, in ms. */
const expiryGraceMs = 60_000;

export class Liveness {
  readonly #options: LivenessOptions;
  #sequence = 0;
  /** The one frame that all who are pinged in this tick get. */
  #ping: Uint8Array | undefined;
  /** What the present round has not looked at yet. */
  #round: Iterator<Session> | undefined;
  /** Until then nobody is lost, because this process has only just woken up. */
  #awakeUntil = 0;

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { registry, silenceMs, now } = this.#options;
    const tickMs = silenceMs / looksPerSilence / ticksPerLook;
    let lastTick = now();
    for (;;) {
      await wait(tickMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      const time = now();
      if (time - lastTick > tickMs + silenceMs * stalledPart) this.#awakeUntil = time + silenceMs;
      lastTick = time;
      this.#sequence += 1;
      this.#ping = undefined;
      const part = Math.ceil(registry.sessions.size / ticksPerLook);
      for (let looked = 0; looked < part; looked += 1) {
        const session = this.#next();
        if (session?.state === 'active') this.#look(session);
      }
    }
  }

  #next(): Session | undefined {
    // A set's iterator goes on rightly when members come and go.
    this.#round ??= this.#options.registry.sessions.values();
    const { done, value } = this.#round.next();
    if (done === true) this.#round = undefined;
    return value as Session | undefined;
  }

  #look(session: Session): void {
    const { registry, frames, silenceMs, cachesOnMs, maxConnectionAgeMs, now } = this.#options;
    const time = now();
    const { agentId, epoch } = session.identity;
    const silentMs = session.answersPings ? time - session.lastHeard : 0;
    const quietMs = time - session.lastSent;
    if (silentMs > silenceMs && time >= this.#awakeUntil) {
      registry.closed(
        session,
        new GatewayError('agent-lost', `agent ${agentId} has been silent for ${String(silentMs)} ms`, { agentId }),
        Math.max(0, cachesOnMs - quietMs),
      );
      return;
    }
    session.forgetExpired(time);
    // An agent that is behind has not read the last ones: callers are told (429), and its silence ends it.
    if (session.queueLength > 0) return;
    // One that does not answer is not pinged on: where the link is broken in one direction only, it has to notice, too.
    const answers = !session.answersPings || session.pingedAt <= session.lastHeard;
    if (answers && Math.max(silentMs, quietMs) >= silenceMs * quietPart) {
      session.pingedAt = time;
      session.send((this.#ping ??= frames.ping(this.#sequence, periodOf(silenceMs))));
    }
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
