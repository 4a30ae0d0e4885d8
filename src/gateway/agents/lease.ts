/**
 * This instance's lease: one heartbeat for the whole replica, on the database's clock. Others consider an
 * instance dead once its lease has ended, and release its assignments; so after too long a pause this instance claims
 * everything again.
 *
 * Three loops that do not wait for each other: the heartbeat, on a connection of its own; the watch, which says when
 * the lease may have lapsed; and the reclaim, which takes as long as this instance has agents and does not count
 * against it.
 */

import { withDeadline } from '../../core/deadline.js';
import { messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { backoffMs, defaultBackoff, wait } from '../../core/retry.js';
import type { InstanceRegistration } from '../../store/instances/instance-record.js';
import type { InstanceStore } from '../../store/instances/instances.js';

export interface LeaseOptions {
  /** Uses its own connection to the database. */
  readonly instances: Pick<InstanceStore, 'heartbeat' | 'remove'>;
  readonly self: () => InstanceRegistration;
  readonly heartbeatMs: number;
  readonly leaseMs: number;
  /** Time without a heartbeat after which others may soon consider this instance dead, in ms; less than leaseMs. */
  readonly unsafeMs: number;
  /** Work that only one instance may do at a time must stop now. */
  readonly onUnsafe: () => void;
  /** The lease is certain again after a doubt: assignments may be gone. Called again if it throws. */
  readonly onRenewedLate: (signal: AbortSignal) => Promise<void>;
  readonly logger: Logger;
}

/** Period of the watch, as a fraction of `unsafeMs`. */
const watchesPerUnsafe = 20;

export class Lease {
  readonly #options: LeaseOptions;
  /** On the monotonic clock, in ms. */
  #renewedAt = Number.NEGATIVE_INFINITY;
  /** Since when it has been held without a gap. */
  #heldSince = Number.POSITIVE_INFINITY;
  /** How often the lease may have lapsed, and the last of these lapses after which everything was claimed again. */
  #losses = 0;
  #reclaimed = 0;
  /** Whether the present lapse, if any, was announced. */
  #told = false;
  #failure: string | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Whether others still consider this instance alive. */
  get held(): boolean {
    return performance.now() - this.#renewedAt < this.#options.leaseMs;
  }

  /** Why the last heartbeat failed; undefined if it succeeded. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Whether no other instance can consider this one dead, now or in the next moment. */
  get sure(): boolean {
    return performance.now() - this.#renewedAt < this.#options.unsafeMs;
  }

  /** Grows whenever the lease may have lapsed: claims of an earlier term may be released by now. */
  get term(): number {
    return this.#losses;
  }

  /**
   * Whether it has been held without a gap for a whole lease. If not, the database may have been unavailable to every
   * instance: then a missing heartbeat does not mean that an instance is dead.
   */
  get steady(): boolean {
    return this.held && performance.now() - this.#heldSince >= this.#options.leaseMs;
  }

  /** First heartbeat. @throws GatewayError `dependency-unavailable` */
  async start(signal: AbortSignal): Promise<void> {
    await this.#beat(signal);
  }

  /** Renews the lease, watches it, and has everything claimed again after a lapse, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#renew(signal), this.#watch(signal), this.#reclaim(signal)]);
  }

  /** Ends the lease at once, so that others need not wait for it. */
  async end(signal: AbortSignal): Promise<void> {
    await this.#options.instances.remove(this.#options.self().id, signal);
    this.#renewedAt = Number.NEGATIVE_INFINITY;
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { heartbeatMs, leaseMs, logger } = this.#options;
    let failing = false;
    for (;;) {
      await wait(heartbeatMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const outcome = await withDeadline(leaseMs, signal, 'the heartbeat', (within) => this.#beat(within));
        // Others may have released everything already, on the database's clock.
        if (outcome === 'started') this.#lose();
        this.#told = false;
        if (failing) logger.info({}, 'heartbeat works again');
        failing = false;
      } catch (error) {
        if (signal.aborted) return;
        this.#failure = messageOf(error);
        if (!failing) logger.warn({ error: this.#failure }, 'heartbeat failed; retrying');
        failing = true;
      }
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { unsafeMs } = this.#options;
    for (;;) {
      await wait(unsafeMs / watchesPerUnsafe, signal).catch(() => undefined);
      if (signal.aborted) return;
      if (!this.sure) this.#lose();
    }
  }

  async #reclaim(signal: AbortSignal): Promise<void> {
    const { unsafeMs, onRenewedLate, logger } = this.#options;
    let failures = 0;
    for (;;) {
      const pauseMs = failures === 0 ? unsafeMs / watchesPerUnsafe : backoffMs(defaultBackoff, failures);
      await wait(pauseMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      const losses = this.#losses;
      if (losses === this.#reclaimed || !this.sure) continue;
      if (failures === 0) logger.warn({}, 'the lease may have lapsed; reclaiming accounts');
      try {
        await onRenewedLate(signal);
        this.#reclaimed = losses;
        failures = 0;
        logger.info({}, 'accounts reclaimed');
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ error: messageOf(error) }, 'could not reclaim accounts; retrying');
        failures += 1;
      }
    }
  }

  /** Called once each time the lease becomes uncertain. */
  #lose(): void {
    if (this.#told) return;
    this.#told = true;
    this.#losses += 1;
    this.#options.onUnsafe();
  }

  async #beat(signal: AbortSignal): Promise<'renewed' | 'started'> {
    // The database counts from when it gets the statement, or later; so this side counts from before it sends it.
    const askedAt = performance.now();
    const outcome = await this.#options.instances.heartbeat(this.#options.self(), this.#options.leaseMs, signal);
    // After a freeze, the process may get here before the watch runs.
    if (this.#heldSince < askedAt && !this.sure) this.#lose();
    if (!this.held) this.#heldSince = askedAt;
    this.#renewedAt = askedAt;
    this.#failure = undefined;
    return outcome;
  }
}
