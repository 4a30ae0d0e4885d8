/**
 * Credentials of a long-lived client: read once for all waiting callers, and again from time to time, when they expire,
 * and when the server refuses them.
 */

import { withDeadline } from '../core/deadline.js';
import { GatewayError } from '../core/errors.js';
import { SharedWork } from '../core/shared-work.js';
import type { ApiAccess } from './access.js';
import type { AccessSource } from './client.js';
import { openAccess, type CredentialOptions } from './credentials.js';
import { KeptCredentials } from './kept-credentials.js';

/** Tokens of service accounts are renewed at 80 % of an hour, those of cloud plugins live fifteen minutes. */
const renewMs = 5 * 60_000;
/** The shortest time between two readings, no matter how often the server refuses. */
const shortestRenewMs = 2_000;
/** A credential plugin that takes longer is considered hung. */
const openTimeoutMs = 60_000;

export class RenewedAccess implements AccessSource {
  readonly #options: CredentialOptions;
  readonly #now: () => number;
  readonly #opening = new SharedWork<ApiAccess>();
  readonly #kept: KeptCredentials;
  readonly #closing = new AbortController();
  #access: ApiAccess | undefined;
  /** When they were last read, or the attempt failed. */
  #since = 0;

  /** @param now a clock that only goes forward, in ms */
  constructor(options: CredentialOptions, now: () => number = () => performance.now()) {
    this.#options = options;
    this.#now = now;
    this.#kept = new KeptCredentials(now);
  }

  /** @throws GatewayError `configuration`, `timed-out`; the signal's reason; `cancelled` after close() */
  async current(signal: AbortSignal): Promise<ApiAccess> {
    this.#closing.signal.throwIfAborted();
    const access = this.#access;
    if (access === undefined || (access.expiresAt ?? Infinity) <= this.#now()) return this.#open(signal);
    // The current credentials are valid until the server refuses them: no caller waits for new ones, or fails without
    // them.
    if (this.#now() - this.#since >= renewMs) void this.#open(this.#closing.signal).catch(() => undefined);
    return access;
  }

  refused(access: ApiAccess): void {
    if (access !== this.#access || this.#now() - this.#since < shortestRenewMs) return;
    this.#kept.forget();
    this.#replace(undefined);
  }

  /** Ends all requests. */
  async close(): Promise<void> {
    this.#closing.abort(new GatewayError('cancelled', 'the account is no longer served'));
    await this.#access?.dispatcher.destroy();
  }

  #open(signal: AbortSignal): Promise<ApiAccess> {
    return this.#opening.run(signal, async (wanted) => {
      this.#since = this.#now();
      const access = await withDeadline(openTimeoutMs, wanted, 'to get the credentials', (limit) =>
        openAccess(this.#options, limit, this.#kept),
      );
      if (this.#closing.signal.aborted) await access.dispatcher.destroy();
      this.#closing.signal.throwIfAborted();
      this.#replace(access);
      return access;
    });
  }

  /** Requests and watches with the old ones continue. */
  #replace(access: ApiAccess | undefined): void {
    void this.#access?.dispatcher.close().catch(() => undefined);
    this.#access = access;
  }
}
