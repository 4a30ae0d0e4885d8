/**
 * Discovery from a fixed list of base URLs. A URL does not reveal the id of its instance, so each is repeatedly asked
 * at `GET {baseUrl}/readyz`: `{"id": "...", "status": "ready" | ...}` with 200 (accepts work) or 503.
 */

import { setMaxListeners } from 'node:events';
import type { ConnectionOptions } from 'node:tls';
import { Agent, buildConnector } from 'undici';
import { messageOf } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { jittered, wait } from '../core/retry.js';
import { unlessAborted, withDeadline } from '../core/deadline.js';
import type { Discovery } from './discovery.js';
import { Membership, type Member } from './membership.js';

export interface StaticDiscoveryOptions {
  /** This instance. It is a member whether it is in the list or not, and is never asked. */
  readonly self: { readonly id: string; readonly baseUrl: string };
  readonly baseUrls: readonly string[];
  readonly logger: Logger;
  /** Time between two rounds of questions, in ms; default 2,000. */
  readonly intervalMs?: number;
  /** How long one answer may take, in ms; default 2,000. */
  readonly timeoutMs?: number;
  /** For https: the current CA certificates and client certificate. */
  readonly tls?: () => TlsOptions;
}

type TlsOptions = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'passphrase' | 'servername'>;

/** An answer of `/readyz` is a few hundred bytes; a server that sends more is not a gateway. */
const maximumAnswerBytes = 64 * 1024;

export class StaticDiscovery extends Membership implements Discovery {
  readonly #self: { readonly id: string; readonly baseUrl: string };
  readonly #baseUrls: readonly string[];
  readonly #intervalMs: number;
  readonly #timeoutMs: number;
  readonly #tls: () => TlsOptions;
  /** The last known answer of each URL. */
  readonly #answers = new Map<string, Member>();
  readonly #stopping = new AbortController();
  #ready = false;
  #agent: Agent | undefined;
  #polling: Promise<void> | undefined;

  constructor(options: StaticDiscoveryOptions) {
    super(options.logger);
    this.#self = {
      ...options.self,
      baseUrl: withoutTrailingSlash(options.self.baseUrl),
    };
    this.#baseUrls = [...new Set(options.baseUrls.map(withoutTrailingSlash))].filter(
      (url) => url !== this.#self.baseUrl,
    );
    this.#intervalMs = options.intervalMs ?? 2_000;
    this.#timeoutMs = options.timeoutMs ?? 2_000;
    this.#tls = options.tls ?? (() => ({}));
  }

  /** Asks each once, then continues in the background; a silent member does not delay the start. */
  async start(signal: AbortSignal): Promise<void> {
    const agent = new Agent({
      connections: 1,
      connect: (to, callback) => {
        buildConnector({ ...this.#tls(), timeout: this.#timeoutMs })(to, callback);
      },
      maxResponseSize: maximumAnswerBytes,
    });
    this.#agent = agent;
    this.#publish();
    const stopping = this.#stopping.signal;
    // Each request under way listens, one per URL.
    setMaxListeners(0, stopping);
    const first = this.#askAll(agent, stopping);
    this.#polling = first.then(() => this.#poll(agent, stopping));
    try {
      await unlessAborted(first, signal);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('discovery stopped'));
    await this.#polling;
    await this.#agent?.destroy();
    this.setStopped();
  }

  setReady(ready: boolean): void {
    this.#ready = ready;
    if (this.#agent !== undefined) this.#publish();
  }

  async #poll(agent: Agent, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await wait(jittered(this.#intervalMs, 0.2), signal).catch(() => undefined);
      await this.#askAll(agent, signal);
    }
  }

  async #askAll(agent: Agent, signal: AbortSignal): Promise<void> {
    await Promise.all(this.#baseUrls.map((baseUrl) => this.#ask(agent, baseUrl, signal)));
    if (signal.aborted) return;
    const silent = this.#baseUrls.filter((baseUrl) => !this.#answers.has(baseUrl));
    if (silent.length === 0) this.setKnown();
    else this.setUnknown(`no answer yet from ${silent.map((baseUrl) => `${baseUrl}/readyz`).join(', ')}`);
  }

  /** Publishes each answer as it comes, so that one slow member does not delay the others. */
  async #ask(agent: Agent, baseUrl: string, signal: AbortSignal): Promise<void> {
    try {
      const { id, ready } = await this.#readyz(agent, baseUrl, signal);
      this.#answers.set(baseUrl, {
        id,
        baseUrl,
        ready,
        lastUpdated: Date.now(),
      });
    } catch (error) {
      if (signal.aborted) return;
      const last = this.#answers.get(baseUrl);
      if (last?.ready === true) this.logger.warn({ baseUrl, error: messageOf(error) }, 'member does not answer');
      if (last !== undefined) this.#answers.set(baseUrl, { ...last, ready: false });
    }
    this.#publish();
  }

  async #readyz(agent: Agent, baseUrl: string, signal: AbortSignal): Promise<{ id: string; ready: boolean }> {
    const url = new URL(`${baseUrl}/readyz`);
    const { statusCode, text } = await withDeadline(this.#timeoutMs, signal, url.href, async (limit) => {
      const { origin, pathname: path } = url;
      const headers = { accept: 'application/json' };
      const response = await agent.request({ origin, path, method: 'GET', headers, signal: limit });
      return { statusCode: response.statusCode, text: await response.body.text() };
    });
    const answer: unknown = JSON.parse(text);
    if (typeof answer !== 'object' || answer === null || !('id' in answer) || typeof answer.id !== 'string') {
      throw new Error(`${baseUrl}/readyz answered ${String(statusCode)} without an id`);
    }
    return { id: answer.id, ready: statusCode === 200 };
  }

  /** If two URLs lead to one id, the first in the list wins, and this instance's own entry over all. */
  #publish(): void {
    const members = this.#baseUrls
      .map((baseUrl) => this.#answers.get(baseUrl))
      .filter((member) => member !== undefined);
    this.replace([...members.reverse(), { ...this.#self, ready: this.#ready }]);
  }
}

function withoutTrailingSlash(url: string): string {
  return url.replace(/\/+$/, '');
}
