/**
 * This instance's lease: one heartbeat for the whole replica, on the database's clock. Whoever's lease is over is dead
 * for the others, which then release what it owned; so after a pause that was too long everything is claimed again.
 */

import { withDeadline } from '../../core/deadline.js';
import { messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { wait } from '../../core/retry.js';
import type { InstanceRegistration, InstanceStore } from '../../store/instances.js';

export interface LeaseOptions {
  readonly instances: InstanceStore;
  readonly self: () => InstanceRegistration;
  readonly heartbeatMs: number;
  readonly leaseMs: number;
  /** Without a heartbeat for so long, others may soon take this instance for dead, in ms; less than leaseMs. */
  readonly unsafeMs: number;
  /** What nobody else may do at the same time has to end now. */
  readonly onUnsafe: () => void;
  /** The lease is sure again, after it was not: assignments may be gone. */
  readonly onRenewedLate: (signal: AbortSignal) => Promise<void>;
  readonly logger: Logger;
}

export class Lease {
  readonly #options: LeaseOptions;
  /** On the monotonic clock, in ms. */
  #renewedAt = Number.NEGATIVE_INFINITY;
  /** Since when it has been held without a gap. */
  #heldSince = Number.POSITIVE_INFINITY;
  #unsafe = false;
  #failure: string | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Whether others still take this instance for alive. */
  get held(): boolean {
    return performance.now() - this.#renewedAt < this.#options.leaseMs;
  }

  /** Why the last heartbeat was not taken; undefined: it was. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Whether nobody can take this instance for dead, now or in the next moment. */
  get sure(): boolean {
    return performance.now() - this.#renewedAt < this.#options.unsafeMs;
  }

  /**
   * Whether it has been held without a gap for a whole lease. If not, the database may have been away for everybody:
   * then nobody's missing heartbeat says that he is dead.
   */
  get steady(): boolean {
    return this.held && performance.now() - this.#heldSince >= this.#options.leaseMs;
  }

  /** First heartbeat. @throws GatewayError `dependency-unavailable` */
  async start(signal: AbortSignal): Promise<void> {
    await this.#beat(signal);
  }

  /** Renews, and watches that it does, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#renew(signal), this.#watch(signal)]);
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { heartbeatMs, leaseMs, onRenewedLate, logger } = this.#options;
    let failing = false;
    for (;;) {
      await wait(heartbeatMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const outcome = await withDeadline(leaseMs, signal, 'the heartbeat', (within) => this.#beat(within));
        if (failing) logger.info({}, 'heartbeat renewed again');
        failing = false;
        // A heartbeat that got stuck on its way may have renewed the lease late, after others had released everything.
        if (outcome === 'renewed' && !this.#unsafe) continue;
        this.#lose();
        logger.warn({}, 'the lease of this instance was not sure; its accounts are claimed again');
        await onRenewedLate(signal);
        this.#unsafe = false;
      } catch (error) {
        if (signal.aborted) return;
        this.#failure = messageOf(error);
        if (!failing) logger.warn({ error: this.#failure }, 'heartbeat failed; trying on');
        failing = true;
      }
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { unsafeMs } = this.#options;
    for (;;) {
      await wait(unsafeMs / 20, signal).catch(() => undefined);
      if (signal.aborted) return;
      if (!this.sure) this.#lose();
    }
  }

  /** Until everything was claimed again. */
  #lose(): void {
    if (this.#unsafe) return;
    this.#unsafe = true;
    this.#options.onUnsafe();
  }

  /** Ends the lease at once, so that others need not wait for it. */
  async end(signal: AbortSignal): Promise<void> {
    await this.#options.instances.remove(this.#options.self().id, signal);
    this.#renewedAt = Number.NEGATIVE_INFINITY;
  }

  async #beat(signal: AbortSignal): Promise<'renewed' | 'started'> {
    // The database counts from when it was asked, or later: so does this side from before it asks.
    const askedAt = performance.now();
    const outcome = await this.#options.instances.heartbeat(this.#options.self(), this.#options.leaseMs, signal);
    // A process that was frozen may come here before the watch does.
    if (this.#heldSince < askedAt && !this.sure) this.#lose();
    if (!this.held) this.#heldSince = askedAt;
    this.#renewedAt = askedAt;
    this.#failure = undefined;
    return outcome;
  }
}
