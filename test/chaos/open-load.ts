/** Callers that do not wait for each other: so many operations a second, whatever becomes of those before. */

import { Agent, request } from 'undici';
import { ulid } from 'ulid';
import { pick, seededRandom } from '../../src/simulate/random.js';
import type { ChaosCluster } from './cluster.js';
import type { ChaosReplica } from './replica.js';

export interface OpenLoadOptions {
  readonly cluster: ChaosCluster;
  readonly perSecond: number;
  readonly seed: number;
  /** Of every operation, in ms. */
  readonly timeoutMs: number;
}

/** Beyond so many without an answer, what is due is not sent: then it is this process that cannot do more. */
const inFlightLimit = 1_000;
const tickMs = 10;

export class OpenLoad {
  /** Answers by status; 0: none. */
  readonly statuses = new Map<number, number>();
  /** Answers 429 and 503 without Retry-After. */
  withoutRetryAfter = 0;
  sent = 0;
  notSent = 0;
  readonly #options: OpenLoadOptions;
  readonly #random: () => number;
  /** A connection for each: nothing waits on this side. */
  readonly #http = new Agent({ connections: inFlightLimit, connect: { timeout: 10_000 } });
  readonly #running = new Set<Promise<void>>();

  constructor(options: OpenLoadOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
  }

  /** @returns once what was sent in the time is answered */
  async run(durationMs: number): Promise<void> {
    const started = performance.now();
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        const elapsedMs = performance.now() - started;
        if (elapsedMs < durationMs) this.#sendDue((elapsedMs / 1_000) * this.#options.perSecond);
        else {
          clearInterval(timer);
          resolve();
        }
      }, tickMs);
    });
    await Promise.all(this.#running);
    await this.#http.close();
  }

  #sendDue(due: number): void {
    while (this.sent + this.notSent < due) {
      if (this.#running.size >= inFlightLimit) {
        this.notSent += 1;
        continue;
      }
      this.sent += 1;
      const sending = this.#send().finally(() => this.#running.delete(sending));
      this.#running.add(sending);
    }
  }

  async #send(): Promise<void> {
    const { cluster, timeoutMs } = this.#options;
    const [id, account] = [ulid(), pick(cluster.accounts, this.#random)];
    const replica: ChaosReplica = pick(cluster.running, this.#random);
    const operation = { id, account, timeoutMs, scale: { object: { kind: 'Deployment', name: 'web' }, replicas: 2 } };
    const about = { id, attempt: 1, replica: replica.id };
    cluster.history.append({ type: 'submitted', ...about, account, mutating: true, timeoutMs });
    let status = 0;
    try {
      const response = await request(`${replica.restUrl}/armory/agent/operations`, {
        method: 'POST',
        dispatcher: this.#http,
        headers: { 'content-type': 'application/json', prefer: `wait=${Math.ceil(timeoutMs / 1_000)}` },
        body: JSON.stringify({ operation }),
        signal: AbortSignal.timeout(timeoutMs * 3),
      });
      await response.body.dump();
      status = response.statusCode;
      if ((status === 429 || status === 503) && response.headers['retry-after'] === undefined)
        this.withoutRetryAfter += 1;
    } catch {
      // No answer.
    }
    cluster.history.append({ type: 'answered', ...about, status });
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
  }
}
