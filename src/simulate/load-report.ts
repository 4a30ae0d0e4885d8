/** Counts what a load run did, and makes the report of it. */

import { outcomes, type Answer, type RequestOutcome } from './answer.js';
import { Histogram } from './histogram.js';

export interface LoadProgress {
  readonly elapsedMs: number;
  readonly sent: number;
  readonly answered: number;
  readonly inFlight: number;
  /** failed, refused, unreachable. */
  readonly unsuccessful: number;
  /** Answered since the progress before, per second. */
  readonly perSecond: number;
}

export interface FailureReport {
  readonly kind: string;
  readonly count: number;
  /** The first message of this kind. */
  readonly example: string;
}

export interface LoadReport {
  readonly durationMs: number;
  readonly sent: number;
  readonly outcomes: Readonly<Record<RequestOutcome, number>>;
  /** Due in the open loop, but too many were in flight. */
  readonly notSent: number;
  /** In flight when the run was interrupted. */
  readonly dropped: number;
  /** Of operations with a 2xx answer of the gateway: completed, failed, accepted. */
  readonly latencyMs: {
    readonly mean: number;
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly max: number;
  };
  /** Operations with such an answer, per second. */
  readonly throughputPerSecond: number;
  readonly routes: { readonly local: number; readonly forwarded: number; readonly unknown: number };
  /** The most frequent first. */
  readonly failures: readonly FailureReport[];
}

export class LoadRecorder {
  readonly #now: () => number;
  readonly #latencyMicroseconds = new Histogram();
  readonly #outcomes = Object.fromEntries(outcomes.map((outcome) => [outcome, 0])) as Record<RequestOutcome, number>;
  readonly #routes = { local: 0, forwarded: 0, unknown: 0 };
  readonly #failures = new Map<string, { count: number; readonly example: string }>();
  #startedAt = 0;
  #stoppedAt = 0;
  #sent = 0;
  #answered = 0;
  #notSent = 0;
  #dropped = 0;
  #progressAt = 0;
  #progressAnswered = 0;

  /** @param now a clock that only goes forward, in ms */
  constructor(now: () => number) {
    this.#now = now;
  }

  start(): void {
    this.#startedAt = this.#now();
    this.#progressAt = this.#startedAt;
  }

  stop(): void {
    this.#stoppedAt = this.#now();
  }

  sent(): void {
    this.#sent += 1;
  }

  notSent(): void {
    this.#notSent += 1;
  }

  dropped(): void {
    this.#dropped += 1;
  }

  answered(answer: Answer, latencyMs: number): void {
    this.#answered += 1;
    this.#outcomes[answer.outcome] += 1;
    if (answer.outcome === 'completed' || answer.outcome === 'failed' || answer.outcome === 'accepted') {
      this.#latencyMicroseconds.record(latencyMs * 1000);
      this.#routes[answer.route ?? 'unknown'] += 1;
    }
    if (answer.kind !== undefined) this.#countFailure(answer.kind, answer.message ?? '');
  }

  progress(): LoadProgress {
    const now = this.#now();
    const seconds = Math.max(0.001, (now - this.#progressAt) / 1000);
    const perSecond = (this.#answered - this.#progressAnswered) / seconds;
    this.#progressAt = now;
    this.#progressAnswered = this.#answered;
    const { failed, refused, unreachable } = this.#outcomes;
    return {
      elapsedMs: now - this.#startedAt,
      sent: this.#sent,
      answered: this.#answered,
      inFlight: this.#sent - this.#answered - this.#dropped,
      unsuccessful: failed + refused + unreachable,
      perSecond,
    };
  }

  report(): LoadReport {
    const latency = this.#latencyMicroseconds;
    const durationMs = this.#stoppedAt - this.#startedAt;
    const milliseconds = (microseconds: number): number => Math.round(microseconds) / 1000;
    return {
      durationMs: Math.round(durationMs),
      sent: this.#sent,
      outcomes: { ...this.#outcomes },
      notSent: this.#notSent,
      dropped: this.#dropped,
      latencyMs: {
        mean: milliseconds(latency.mean),
        p50: milliseconds(latency.quantile(0.5)),
        p90: milliseconds(latency.quantile(0.9)),
        p99: milliseconds(latency.quantile(0.99)),
        max: milliseconds(latency.max),
      },
      throughputPerSecond: durationMs > 0 ? Math.round((latency.count / durationMs) * 10_000) / 10 : 0,
      routes: { ...this.#routes },
      failures: [...this.#failures]
        .map(([kind, { count, example }]) => ({ kind, count, example }))
        .sort((left, right) => right.count - left.count),
    };
  }

  #countFailure(kind: string, example: string): void {
    const known = this.#failures.get(kind);
    if (known === undefined) this.#failures.set(kind, { count: 1, example });
    else known.count += 1;
  }
}
