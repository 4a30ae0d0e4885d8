/**
 * Maintains open streams: pings quiet ones, ends silent ones, forgets operations that nobody waits for any longer, and
 * asks agents with old connections to dial again, so that agents spread over the replicas.
 *
 * One timer for all streams: each tick looks at the next few of them, so that pings are spread over time.
 */

import { GatewayError } from '../../core/errors.js';
import { wait } from '../../core/retry.js';
import { periodOf, type LivenessTimes, type SilenceTimes } from './liveness-times.js';
import type { Registry } from './registry.js';
import type { SessionFrames } from './session-frames.js';
import type { Session } from './session.js';

export interface LivenessOptions {
  readonly registry: Pick<Registry, 'sessions' | 'closed'>;
  readonly frames: Pick<SessionFrames, 'ping' | 'reconnect'>;
  readonly times: Pick<LivenessTimes, 'alone' | 'sharing'>;
  /** Age at which a connection is asked to dial again, ±10 %, in ms; 0: never. */
  readonly maxConnectionAgeMs: number;
  /** A clock that only goes forward, the one of the sessions, in ms. */
  readonly now: () => number;
  /** Wall clock, Unix ms: credentials expire by it. */
  readonly wallTime: () => number;
}

/** How often every stream is checked within the longest silence. */
const looksPerSilence = 16;
/** The number of parts in which the streams are checked, one after the other. */
const ticksPerLook = 10;
/**
 * If a tick is late by this fraction of the longest silence, this process was frozen and has not read what agents sent
 * meanwhile.
 */
const stalledPart = 1 / 8;
/** How long an agent may take to dial again after its token or certificate has expired, in ms. */
const expiryGraceMs = 60_000;

export class Liveness {
  readonly #options: LivenessOptions;
  #sequence = 0;
  /** The frames for all agents that are pinged in this tick. */
  #pings = new Map<SilenceTimes, Uint8Array>();
  /** Streams that the present round has not checked yet. */
  #round: Iterator<Session> | undefined;
  /** Until then no agent is considered lost, because this process has only just woken up. */
  #awakeUntil = 0;

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { registry, times, now } = this.#options;
    const { silenceMs } = times.alone;
    const tickMs = silenceMs / looksPerSilence / ticksPerLook;
    let lastTick = now();
    for (;;) {
      await wait(tickMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      const time = now();
      if (time - lastTick > tickMs + silenceMs * stalledPart) this.#awakeUntil = time + silenceMs;
      lastTick = time;
      this.#sequence += 1;
      this.#pings.clear();
      const part = Math.ceil(registry.sessions.size / ticksPerLook);
      for (let looked = 0; looked < part; looked += 1) {
        const session = this.#next();
        if (session?.state === 'active') this.#look(session, time);
      }
    }
  }

  #next(): Session | undefined {
    // The iterator of a Set stays valid when members are added and removed.
    this.#round ??= this.#options.registry.sessions.values();
    const next = this.#round.next();
    if (next.done !== true) return next.value;
    this.#round = undefined;
    return undefined;
  }

  #ping(times: SilenceTimes): Uint8Array {
    const known = this.#pings.get(times);
    if (known !== undefined) return known;
    const frame = this.#options.frames.ping(this.#sequence, periodOf(times.silenceMs));
    this.#pings.set(times, frame);
    return frame;
  }

  #look(session: Session, time: number): void {
    const { registry, frames, times, maxConnectionAgeMs } = this.#options;
    const { quietMs, silenceMs, lostMs } = session.sharing ? times.sharing : times.alone;
    const unheardMs = session.answersPings ? time - session.lastHeard : 0;
    if (unheardMs > lostMs && time >= this.#awakeUntil) {
      const { agentId } = session.identity;
      const message = `agent ${agentId} has been silent for ${String(Math.round(unheardMs))} ms`;
      registry.closed(session, new GatewayError('agent-lost', message, { agentId }));
      return;
    }
    session.forgetExpired(time);
    // An agent that is behind has not read the last pings: callers get 429, and its silence will end the stream.
    if (session.queueLength > 0) return;
    // An agent that does not answer is not pinged further: if the link is broken in one direction only, the agent must
    // notice, too.
    const answers = !session.answersPings || session.pingedAt <= session.lastHeard;
    if (answers && Math.max(unheardMs, time - session.lastSent) >= quietMs) {
      session.ping(this.#ping(session.sharing ? times.sharing : times.alone), silenceMs);
    }
    const { agentId, epoch } = session.identity;
    const expiresAt = session.peer?.expiresAt;
    const expiredMs = expiresAt === undefined ? 0 : this.#options.wallTime() - expiresAt;
    if (expiredMs > expiryGraceMs) {
      const message = `agent ${agentId} did not dial again with a new credential in time`;
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
