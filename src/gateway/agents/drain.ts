/**
 * How the agents of an instance that stops move on: they are asked to dial again one by one, spread over time, and
 * are served until they have, so that no account is without an owner meanwhile.
 */

import { wait } from '../../core/retry.js';
import type { Registry, SessionFrames } from './registry.js';

export interface DrainOptions {
  readonly registry: Registry;
  readonly frames: SessionFrames;
  /** Over which time the agents are asked, in ms. */
  readonly spreadMs: number;
  /** Operations in flight on this instance that nobody else can finish. */
  readonly underWay: () => number;
}

const pollMs = 50;

/** Resolves once all agents have left and nothing is under way, or when the signal aborts. */
export async function drainAgents(options: DrainOptions, signal: AbortSignal): Promise<void> {
  const { registry, frames, spreadMs, underWay } = options;
  const sessions = [...registry.sessions].filter((session) => session.state === 'active');
  sessions.forEach((session, index) => {
    session.leaving = true;
    const delayMs = Math.round((index / sessions.length) * spreadMs);
    try {
      session.send(frames.reconnect('draining', delayMs));
    } catch {
      // It does not read; the end of its stream will tell it.
    }
  });
  while (!signal.aborted && (registry.sessions.size > 0 || underWay() > 0)) {
    await wait(pollMs, signal).catch(() => undefined);
  }
}
