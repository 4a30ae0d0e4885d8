/** Credentials of a client that lives long: read anew from time to time, and when the server refuses them. */

import type { ApiAccess } from './access.js';
import type { AccessSource } from './client.js';
import { openAccess, type CredentialOptions } from './credentials.js';

/** Tokens of service accounts are renewed at 80 % of an hour, those of cloud plugins live fifteen minutes. */
const renewMs = 5 * 60_000;
/** However often the server says no. */
const shortestRenewMs = 2_000;

export class RenewedAccess implements AccessSource {
  readonly #options: CredentialOptions;
  readonly #now: () => number;
  #access: Promise<ApiAccess> | undefined;
  #since = 0;
  #closed = false;

  /** @param now a clock that only goes forward, in ms */
  constructor(options: CredentialOptions, now: () => number = () => performance.now()) {
    this.#options = options;
    this.#now = now;
  }

  /** @throws GatewayError `configuration`; Error after close() */
  current(): Promise<ApiAccess> {
    if (this.#closed) return Promise.reject(new Error('the account is no longer served'));
    if (this.#access === undefined || this.#now() - this.#since >= renewMs) this.#renew();
    return this.#access as unknown as Promise<ApiAccess>;
  }

  refused(): void {
    if (this.#now() - this.#since >= shortestRenewMs) this.#forget();
  }

  /** Ends all requests. */
  async close(): Promise<void> {
    this.#closed = true;
    const access = await this.#access?.catch(() => undefined);
    await access?.dispatcher.destroy();
  }

  #renew(): void {
    this.#forget();
    this.#since = this.#now();
    const opened = openAccess(this.#options);
    this.#access = opened;
    opened.catch(() => {
      if (this.#access === opened) this.#access = undefined;
    });
  }

  /** Requests and watches that use the old ones go on. */
  #forget(): void {
    const old = this.#access;
    this.#access = undefined;
    old?.then(({ dispatcher }) => dispatcher.close()).catch(() => undefined);
  }
}
