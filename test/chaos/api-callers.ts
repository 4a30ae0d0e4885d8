/**
 * Callers of the Kubernetes API: so many, each asks a replica chosen at random for an account chosen at random: they
 * change, read, list, watch, open upgraded connections, and go before they have what they asked for. Nobody asks twice: each
 * request has an id of its own.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { ulid } from 'ulid';
import { pick, seededRandom } from '../../src/simulate/random.js';
import { upgrade, type ApiAnswer } from './api-upgrade.js';
import type { ChaosCluster } from './cluster.js';
import type { ChaosReplica } from './replica.js';

export interface ApiCallersOptions {
  readonly cluster: ChaosCluster;
  readonly concurrency: number;
  readonly seed: number;
  /** Replicas to ask. */
  readonly targets: () => readonly ChaosReplica[];
  /** Mean pause of each caller between two requests, in ms. */
  readonly pauseMs: number;
}

const kinds = [
  ...(['change', 'change', 'change', 'change', 'read', 'read'] as const),
  ...(['list', 'cancelled', 'watch', 'upgrade'] as const),
];
type Kind = (typeof kinds)[number];

/** No answer takes so long, whatever fails, in ms: longer than any freeze, and the hold, and the time to find a silent peer. */
const patienceMs = 40_000;
const longestWatchMs = 3_000;
/** Longer than an answer takes. */
const cancelledWithinMs = 60;
/** More than the gateway holds of an answer. */
const listLines = 3_000;

export class ApiCallers {
  readonly #options: ApiCallersOptions;
  readonly #random: () => number;
  readonly #http: Agent;
  readonly #stopping = new AbortController();
  readonly #statuses = new Map<number, number>();
  #running: Promise<unknown> = Promise.resolve();
  #count = 0;

  constructor(options: ApiCallersOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#http = new Agent({ connections: options.concurrency * 2, connect: { timeout: 2_000 } });
  }

  get count(): number {
    return this.#count;
  }

  start(): void {
    const { cluster, concurrency } = this.#options;
    cluster.beforeStop('callers of the Kubernetes API', () => this.stop());
    this.#running = Promise.all(Array.from({ length: concurrency }, () => this.#call()));
  }

  /** Lets every caller finish its request. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await this.#http.destroy();
  }

  /** One line on what they saw. */
  get summary(): string {
    const kinds = [...this.#statuses].map(([status, count]) => `${count} × ${status}`);
    return `${this.#count} requests of the Kubernetes API: ${kinds.join(', ')}`;
  }

  async #call(): Promise<void> {
    const { cluster, targets, pauseMs } = this.#options;
    while (!this.#stopping.signal.aborted) {
      const choices = targets();
      const [account, kind] = [pick(cluster.accounts, this.#random), pick(kinds, this.#random)];
      if (choices.length > 0) await this.#ask(pick(choices, this.#random), account, kind);
      await delay(this.#random() * 2 * pauseMs);
    }
  }

  async #ask({ id: replica, restUrl }: ChaosReplica, account: string, kind: Kind): Promise<void> {
    const { history } = this.#options.cluster;
    const id = ulid();
    history.append({ type: 'apiAsked', id, replica, account, method: kind === 'change' ? 'POST' : 'GET' });
    const query = { ...queries[kind], id };
    const url = `${restUrl}/kubernetes/accounts/${account}/api/v1/pods?${new URLSearchParams(query).toString()}`;
    const lastsMs = this.#random() * longestWatchMs;
    const rude = this.#random() < 0.5;
    const answer =
      kind === 'upgrade'
        ? await upgrade({ url, id, lastsMs, rude, patienceMs })
        : await this.#answer(url, kind, id, lastsMs);
    history.append({ type: 'apiAnswered', id, replica, ...answer });
    this.#count += 1;
    this.#statuses.set(answer.status, (this.#statuses.get(answer.status) ?? 0) + 1);
  }

  async #answer(url: string, kind: Kind, id: string, watchMs: number): Promise<ApiAnswer> {
    const watch = kind === 'watch';
    const ended = new AbortController();
    const cancelling =
      kind === 'cancelled' ? setTimeout(() => ended.abort(), this.#random() * cancelledWithinMs) : undefined;
    try {
      const response = await request(url, {
        ...(kind === 'change' ? { method: 'POST', body: id } : { method: 'GET' }),
        dispatcher: this.#http,
        headersTimeout: 0,
        bodyTimeout: 0,
        signal: AbortSignal.any([AbortSignal.timeout(patienceMs), ended.signal]),
      });
      const { statusCode: status, headers, body } = response;
      const retryAfter = headers['retry-after'] !== undefined;
      let text = '';
      const ending = watch && status === 200 ? setTimeout(() => body.destroy(), watchMs) : undefined;
      try {
        for await (const data of body as AsyncIterable<Buffer>) text += data.toString();
      } catch (error) {
        // A watch is ended by us, or cut off with its owner.
        if (!watch) return { status: 0, retryAfter: false, ids: [], problem: codeOf(error) };
      } finally {
        clearTimeout(ending);
      }
      if (status !== 200) return { status, retryAfter, ids: [], problem: text.slice(0, 300) };
      // The last event of a watch may be incomplete.
      const ids = text
        .split('\n')
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { readonly id: string }).id);
      return { status, retryAfter, ids: [...new Set(ids)], problem: '' };
    } catch (error) {
      return { status: 0, retryAfter: false, ids: [], problem: codeOf(error) };
    } finally {
      clearTimeout(cancelling);
    }
  }
}

/** What the agents of a run know of (agent-api.ts). */
const queries: Readonly<Record<Kind, Readonly<Record<string, string>>>> = {
  change: {},
  read: {},
  list: { lines: String(listLines) },
  cancelled: { lines: String(listLines) },
  watch: { watch: 'true' },
  upgrade: {},
};

function codeOf(error: unknown): string {
  const { code, name } = error as { readonly code?: unknown; readonly name?: unknown };
  return typeof code === 'string' ? code : String(name);
}
