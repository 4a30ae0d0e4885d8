/**
 * Callers: so many, each gives an operation to a replica chosen at random, waits for the answer, and where there is
 * none or a refusal that may pass, gives the same operation, by the same id, to another.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { ulid } from 'ulid';
import { pick, seededRandom } from '../../src/simulate/random.js';
import type { ChaosCluster } from './cluster.js';
import { monotonicMs } from './history.js';
import type { ChaosReplica } from './replica.js';

export interface CallersOptions {
  readonly cluster: ChaosCluster;
  readonly concurrency: number;
  readonly seed: number;
  /** Of every operation, in ms. */
  readonly timeoutMs: number;
  /** Part of the operations that only read; 0 to 1. */
  readonly reading?: number;
  /** Replicas to ask; default: those that run. */
  readonly targets?: () => readonly ChaosReplica[];
  /** Pause of each caller between two operations, in ms; default 0. */
  readonly pauseMs?: number;
  readonly attempts?: number;
}

/** One operation, from its first attempt to its last. */
export interface Outcome {
  readonly t: number;
  readonly tookMs: number;
  readonly attempts: number;
  readonly status: number;
  readonly problem: string;
}

interface AttemptAnswer {
  readonly status: number;
  readonly resultStatus?: number;
  readonly problem?: string;
  readonly detail?: string;
}

/** Beyond its deadline a caller waits so long before it gives up, in ms. */
const patienceMs = 4_000;
const mayPass: ReadonlySet<number> = new Set([0, 429, 503, 404]);

export class Callers {
  readonly outcomes: Outcome[] = [];
  readonly #options: CallersOptions;
  readonly #random: () => number;
  readonly #http: Agent;
  readonly #stopping = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #lag: NodeJS.Timeout | undefined;
  #ended: Promise<void> | undefined;

  constructor(options: CallersOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#http = new Agent({ connections: options.concurrency * 2, connect: { timeout: 2_000 } });
  }

  get count(): number {
    return this.outcomes.length;
  }

  /** They end with the cluster, should nobody stop them before. */
  start(): void {
    this.#watchLag();
    this.#options.cluster.beforeStop('callers', () => this.#abandon());
    const { concurrency } = this.#options;
    this.#running = Promise.all(Array.from({ length: concurrency }, () => this.#call()));
  }

  /** Lets every caller finish the operation it has begun. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await this.#end();
  }

  async #abandon(): Promise<void> {
    this.#stopping.abort();
    await this.#end();
    await this.#running;
  }

  #end(): Promise<void> {
    clearInterval(this.#lag);
    this.#ended ??= this.#http.destroy();
    return this.#ended;
  }

  async #call(): Promise<void> {
    const { pauseMs = 0 } = this.#options;
    while (!this.#stopping.signal.aborted) {
      await this.#operate();
      if (pauseMs > 0) await delay(this.#random() * 2 * pauseMs);
    }
  }

  async #operate(): Promise<void> {
    const { cluster, reading = 0.1, attempts = 5, targets = () => cluster.running } = this.#options;
    const id = ulid();
    const account = pick(cluster.accounts, this.#random);
    const mutating = this.#random() >= reading;
    const started = monotonicMs();
    let answer: AttemptAnswer = { status: 0, problem: 'nobody to ask' };
    let attempt = 0;
    while (attempt < attempts && this.#ended === undefined) {
      attempt += 1;
      const choices = targets();
      if (choices.length > 0) {
        answer = await this.#attempt({ id, account, mutating, attempt }, pick(choices, this.#random));
        if (!mayPass.has(answer.status)) break;
      }
      await delay(100 + this.#random() * 200 * attempt);
    }
    const { status, problem = '' } = answer;
    this.outcomes.push({ t: started, tookMs: monotonicMs() - started, attempts: attempt, status, problem });
  }

  async #attempt(
    { id, account, mutating, attempt }: { id: string; account: string; mutating: boolean; attempt: number },
    replica: ChaosReplica,
  ): Promise<AttemptAnswer> {
    const { cluster, timeoutMs } = this.#options;
    const object = { kind: 'Deployment', name: 'web' };
    // A reading operation gets its id from the gateway, as most do.
    const operation = mutating
      ? { id, account, timeoutMs, scale: { object, replicas: 2 } }
      : { account, timeoutMs, get: { object } };
    const about = { id, attempt, replica: replica.id };
    cluster.history.append({ type: 'submitted', ...about, account, mutating, timeoutMs });
    let answer: AttemptAnswer;
    try {
      const response = await request(`${replica.restUrl}/armory/agent/operations`, {
        method: 'POST',
        dispatcher: this.#http,
        headers: { 'content-type': 'application/json', prefer: `wait=${Math.ceil(timeoutMs / 1_000) + 5}` },
        body: JSON.stringify({ operation }),
        signal: AbortSignal.timeout(timeoutMs + patienceMs),
      });
      answer = readAnswer(response.statusCode, (await response.body.json()) as Record<string, unknown>);
    } catch (error) {
      answer = { status: 0, problem: codeOf(error) };
    }
    cluster.history.append({ type: 'answered', ...about, ...answer });
    return answer;
  }

  #watchLag(): void {
    let last = monotonicMs();
    this.#lag = setInterval(() => {
      const now = monotonicMs();
      if (now - last > 150) this.#options.cluster.history.append({ type: 'lag', ms: now - last - 50 });
      last = now;
    }, 50);
  }
}

function readAnswer(status: number, body: Record<string, unknown>): AttemptAnswer {
  const result = body['result'] as { status?: number } | undefined;
  if (status < 300) return { status, ...(result?.status === undefined ? {} : { resultStatus: result.status }) };
  const type = typeof body['type'] === 'string' ? (body['type'].split(':').at(-1) ?? '') : '';
  return { status, problem: type, detail: typeof body['detail'] === 'string' ? body['detail'] : '' };
}

function codeOf(error: unknown): string {
  const { code, name } = error as { readonly code?: unknown; readonly name?: unknown };
  return typeof code === 'string' ? code : String(name);
}
