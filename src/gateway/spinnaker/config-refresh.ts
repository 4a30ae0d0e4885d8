/**
 * Asks Clouddrivers to read their configuration again after it has changed (`POST /refresh`), by one replica. A name is asked
 * at every address that it has, so a headless Service stands for all its pods. A Clouddriver that does not answer is asked
 * again until it does.
 */

import { lookup } from 'node:dns/promises';
import { Client } from 'undici';
import { isUnexpected, reasonFor } from '../../core/connection-failure.js';
import { messageOf, TellableError } from '../../core/errors.js';
import { unlessAborted, withDeadline } from '../../core/deadline.js';
import { withLock, type ExpiringLocks } from '../../core/lock.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import { jittered, wait } from '../../core/retry.js';

export type ConfigRefreshOutcome = 'refreshed' | 'failed';

export interface ConfigRefreshOptions {
  readonly instanceId: string;
  readonly locks: ExpiringLocks;
  /** The version of the configuration, as configVersion(). */
  readonly version: (signal: AbortSignal) => Promise<string>;
  /** Base URLs of Clouddrivers. */
  readonly urls: readonly string[];
  /** Shortest time between two requests to one Clouddriver, in ms. */
  readonly intervalMs: number;
  /** All addresses of a name; default: those of DNS. */
  readonly resolve?: (hostname: string) => Promise<readonly string[]>;
  readonly asked: (outcome: ConfigRefreshOutcome) => void;
  readonly logger: Logger;
}

/** One Clouddriver: a URL, and one of the addresses of its name. */
interface RefreshTarget {
  readonly url: URL;
  readonly address: string;
}

/** What is known of a target. */
interface RefreshState {
  /** The version that it has read. */
  read?: string | undefined;
  /** The failure that was logged last, if it lasts. */
  failure?: string | undefined;
  /** A request under way. */
  asking?: Promise<void> | undefined;
}

const lockMs = 15_000;
const resolveTimeoutMs = 5_000;
/** Clouddriver answers when it has read and applied everything. */
const answerTimeoutMs = 120_000;
/** Where Clouddriver has its actuator, then where Spring Boot has it by default. */
const paths = ['/refresh', '/actuator/refresh'];

export class ConfigRefresh {
  readonly #options: ConfigRefreshOptions;
  /** By name in logs. */
  readonly #states = new Map<string, RefreshState>();
  /** Failures to read the accounts (''), or to resolve a URL's host, that were logged and last. */
  readonly #failures = new Map<string, string>();

  constructor(options: ConfigRefreshOptions) {
    this.#options = options;
  }

  /** Runs until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    const { locks, instanceId, intervalMs, logger } = this.#options;
    const lock = { locks, name: 'spinnaker-config-refresh', holder: instanceId, ttlMs: lockMs };
    const failed = (error: unknown): void => {
      logger.debug({ error: messageOf(error) }, 'could not take the lock for refreshing Clouddrivers; retrying');
    };
    // The pause comes first: another replica may have asked a moment ago. The lock is kept as long as it can be renewed,
    // because only its holder knows what Clouddrivers have read.
    return repeat({ pauseMs: () => jittered(intervalMs, 0.2) + intervalMs * 0.2, failed }, signal, async () => {
      await withLock(lock, signal, (held) => this.#follow(held));
    });
  }

  async #follow(signal: AbortSignal): Promise<void> {
    this.#states.clear();
    while (!signal.aborted) {
      try {
        await this.#round(signal);
        this.#failures.delete('');
      } catch (error) {
        if (!signal.aborted && this.#isNew('', messageOf(error)))
          this.#options.logger.warn(
            { error: messageOf(error) },
            'accounts cannot be read, so Clouddrivers learn of changes later',
          );
      }
      await wait(this.#options.intervalMs, signal).catch(() => undefined);
    }
    for (const { asking } of this.#states.values()) await asking;
  }

  async #round(signal: AbortSignal): Promise<void> {
    const version = await this.#options.version(signal);
    const targets = (await Promise.all(this.#options.urls.map((url) => this.#targets(new URL(url), signal)))).flat();
    const present = new Set(targets.map(nameOf));
    for (const [name, { asking }] of this.#states)
      if (!present.has(name) && asking === undefined) this.#states.delete(name);
    for (const target of targets) {
      const state = this.#states.get(nameOf(target)) ?? {};
      this.#states.set(nameOf(target), state);
      if (state.asking !== undefined || state.read === version) continue;
      // A slow one holds up no other.
      state.asking = this.#ask(target, state, version, signal).finally(() => (state.asking = undefined));
    }
  }

  async #targets(url: URL, signal: AbortSignal): Promise<readonly RefreshTarget[]> {
    const { resolve = addressesOf, asked, logger } = this.#options;
    try {
      const addresses = await withDeadline(resolveTimeoutMs, signal, `resolving ${url.hostname}`, (limit) =>
        unlessAborted(resolve(url.hostname.replace(/^\[|\]$/gu, '')), limit),
      );
      this.#failures.delete(url.host);
      return addresses.map((address) => ({ url, address }));
    } catch (error) {
      if (signal.aborted) return [];
      asked('failed');
      if (this.#isNew(url.host, reasonFor(error)))
        logger.warn(
          { clouddriver: url.host, error: reasonFor(error) },
          'Clouddriver not found, so it learns of changed accounts later',
        );
      return [];
    }
  }

  /** Never rejects. */
  async #ask(target: RefreshTarget, state: RefreshState, version: string, signal: AbortSignal): Promise<void> {
    const { asked, logger } = this.#options;
    const clouddriver = nameOf(target);
    try {
      await postRefresh(target, signal);
      asked('refreshed');
      state.read = version;
      if (state.failure !== undefined)
        logger.info({ clouddriver }, 'Clouddriver refreshed again: it has the current accounts');
      state.failure = undefined;
    } catch (error) {
      if (signal.aborted) return;
      asked('failed');
      const reason = isUnexpected(error) ? messageOf(error) : reasonFor(error);
      if (reason !== state.failure)
        logger.warn(
          { clouddriver, error: reason },
          'Clouddriver not refreshed, so it does not know of changed accounts; retrying',
        );
      state.failure = reason;
    }
  }

  #isNew(what: string, failure: string): boolean {
    if (this.#failures.get(what) === failure) return false;
    this.#failures.set(what, failure);
    return true;
  }
}

/** For logs. */
function nameOf({ url, address }: RefreshTarget): string {
  return `${url.host} ${address}`;
}

async function addressesOf(hostname: string): Promise<readonly string[]> {
  return (await lookup(hostname, { all: true })).map(({ address }) => address);
}

/** @throws TellableError; what undici throws; the signal's reason */
async function postRefresh({ url, address }: RefreshTarget, signal: AbortSignal): Promise<void> {
  const { origin, pathname } = url;
  const client = new Client(origin, {
    connect: {
      lookup: (_hostname, _options, found) => {
        found(null, [{ address, family: address.includes(':') ? 6 : 4 }]);
      },
    },
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
  });
  try {
    let status = 0;
    for (const path of paths) {
      const prefix = pathname.replace(/\/+$/u, '');
      const answer = await client.request({ method: 'POST', path: prefix + path, signal });
      await answer.body.dump();
      status = answer.statusCode;
      if (status !== 404) break;
    }
    if (status >= 200 && status < 300) return;
    const exposed = status === 404 ? ': expose "refresh" in management.endpoints.web.exposure.include' : '';
    throw new TellableError(`it answered ${String(status)} to POST /refresh${exposed}`);
  } finally {
    await client.destroy();
  }
}
