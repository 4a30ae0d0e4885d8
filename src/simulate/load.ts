/**
 * The load generator: sends operations to REST and measures what callers see.
 *
 * Closed loop (`concurrency`): so many callers, each sends when it has its answer. Open loop (`rate`): operations are
 * due at fixed times, and latency counts from then, so that a slow gateway cannot hide behind callers that wait.
 */

import type { ConnectionOptions } from 'node:tls';
import { performance } from 'node:perf_hooks';
import { Pool } from 'undici';
import { messageOf } from '../core/errors.js';
import { wait } from '../core/retry.js';
import { readAnswer, type Answer } from './answer.js';
import { LoadRecorder, type LoadProgress, type LoadReport } from './load-report.js';
import { pick, seededRandom } from './random.js';
import { sampleRequest, type RequestKind } from './request-kinds.js';

export interface LoadOptions {
  /** Of REST, without a slash at the end; used in turn. */
  readonly baseUrls: readonly string[];
  /** Chosen at random for each operation. */
  readonly accounts: readonly string[];
  /** End after so many; default: no limit. */
  readonly operations?: number;
  /** End after this time, in ms; default: no limit. */
  readonly durationMs?: number;
  /** Closed loop: operations in flight; default 10 where there is no rate. */
  readonly concurrency?: number;
  /** Open loop: operations per second. */
  readonly rate?: number;
  /** Open loop: beyond so many in flight, operations that are due are not sent, and counted; default 1000. */
  readonly maximumInFlight?: number;
  /** Chosen at random for each operation; default get. */
  readonly kinds?: readonly RequestKind[];
  /** `Prefer: wait`, in seconds; 0 sends no Prefer. Default 10. */
  readonly waitSeconds?: number;
  /** Size of manifests and patches, in bytes; default 0: as they come. */
  readonly payloadBytes?: number;
  readonly seed?: number;
  /** Bearer token that callers show. */
  readonly token?: string | undefined;
  /** For https: whom they trust, and the certificate that they show. */
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'>;
  /** Called about every progressMs (default 1000). */
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly progressMs?: number;
}

/** How long the answer may take beyond the wait that was asked for, in ms. */
const answerGraceMs = 15_000;
/** A caller that could not reach the gateway pauses this long, in ms. */
const unreachablePauseMs = 100;
/** Open loop: operations that are due are sent this often, in ms. */
const tickMs = 5;
/** More connections to one base URL serve nothing but the kernel. */
const maximumConnections = 256;

/**
 * Sends until the count, the duration or the signal ends it; then the operations in flight are waited for, except
 * after the signal, which drops them. Never rejects for what the gateway answers: that is in the report.
 * @throws RangeError when there is no base URL or no account
 */
export async function runLoad(options: LoadOptions, signal: AbortSignal): Promise<LoadReport> {
  const load = new Load(options);
  return load.run(signal);
}

class Load {
  readonly #options: LoadOptions;
  readonly #targets: readonly { readonly pool: Pool; readonly path: string }[];
  readonly #headers: Record<string, string>;
  readonly #requests: ReadonlyMap<RequestKind, string>;
  readonly #kinds: readonly RequestKind[];
  readonly #random: () => number;
  readonly #recorder = new LoadRecorder(() => performance.now());
  #taken = 0;
  #endsAt = Number.POSITIVE_INFINITY;
  #dropped = false;

  constructor(options: LoadOptions) {
    const { baseUrls, accounts, kinds = ['get'], waitSeconds = 10, payloadBytes = 0, seed = 1, token, tls } = options;
    if (baseUrls.length === 0) throw new RangeError('no REST base URL is given');
    if (accounts.length === 0) throw new RangeError('no account is given');
    this.#options = options;
    this.#kinds = kinds.length === 0 ? ['get'] : kinds;
    this.#random = seededRandom(seed);
    this.#requests = new Map(this.#kinds.map((kind) => [kind, JSON.stringify(sampleRequest(kind, payloadBytes))]));
    this.#headers = {
      'content-type': 'application/json',
      accept: 'application/json',
      ...(waitSeconds > 0 ? { prefer: `wait=${waitSeconds}` } : {}),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    };
    const inFlight = options.rate === undefined ? this.#concurrency : this.#maximumInFlight;
    const connections = Math.min(maximumConnections, Math.ceil(inFlight / baseUrls.length));
    const timeout = waitSeconds * 1000 + answerGraceMs;
    this.#targets = baseUrls.map((url) => {
      const { origin, pathname } = new URL(url + operationsPath);
      const connect = { ...tls, timeout: 5_000 };
      return {
        pool: new Pool(origin, { connections, headersTimeout: timeout, bodyTimeout: timeout, connect }),
        path: pathname,
      };
    });
  }

  get #concurrency(): number {
    return this.#options.concurrency ?? 10;
  }

  get #maximumInFlight(): number {
    return this.#options.maximumInFlight ?? 1_000;
  }

  async run(signal: AbortSignal): Promise<LoadReport> {
    const { durationMs, onProgress, progressMs = 1_000 } = this.#options;
    if (durationMs !== undefined) this.#endsAt = performance.now() + durationMs;
    const timer = setInterval(() => onProgress?.(this.#recorder.progress()), progressMs);
    const drop = (): void => {
      this.#dropped = true;
      for (const { pool } of this.#targets) void pool.destroy();
    };
    signal.addEventListener('abort', drop);
    if (signal.aborted) drop();
    this.#recorder.start();
    try {
      if (this.#options.rate === undefined) await this.#closedLoop(signal);
      else await this.#openLoop(this.#options.rate, signal);
    } finally {
      this.#recorder.stop();
      clearInterval(timer);
      signal.removeEventListener('abort', drop);
      await Promise.all(this.#targets.map(({ pool }) => pool.destroy()));
    }
    return this.#recorder.report();
  }

  async #closedLoop(signal: AbortSignal): Promise<void> {
    const caller = async (): Promise<void> => {
      while (this.#take()) {
        const reached = await this.#send(performance.now());
        if (!reached && !this.#dropped) await wait(unreachablePauseMs, signal).catch(() => undefined);
      }
    };
    await Promise.all(Array.from({ length: this.#concurrency }, caller));
  }

  async #openLoop(rate: number, signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    const inFlight = new Set<Promise<unknown>>();
    for (let due = startedAt; ; due = startedAt + (this.#taken / rate) * 1000) {
      while (due > performance.now() && !this.#dropped) {
        await wait(Math.min(tickMs, Math.ceil(due - performance.now())), signal).catch(() => undefined);
      }
      if (!this.#take()) break;
      if (inFlight.size >= this.#maximumInFlight) {
        this.#recorder.notSent();
        continue;
      }
      const sent: Promise<unknown> = this.#send(due).then(() => inFlight.delete(sent));
      inFlight.add(sent);
    }
    await Promise.all(inFlight);
  }

  /** Whether one more operation is to be sent; counts it. */
  #take(): boolean {
    const { operations = Number.POSITIVE_INFINITY } = this.#options;
    if (this.#dropped || this.#taken >= operations || performance.now() >= this.#endsAt) return false;
    this.#taken += 1;
    return true;
  }

  /** Sends one operation and records what came of it; false when no answer came. Never rejects. */
  async #send(since: number): Promise<boolean> {
    const account = pick(this.#options.accounts, this.#random);
    const kind = pick(this.#kinds, this.#random);
    const { pool, path } = this.#targets[this.#taken % this.#targets.length] ?? pick(this.#targets, this.#random);
    const body = `{"operation":{"account":${JSON.stringify(account)},"${kind}":${this.#requests.get(kind) ?? '{}'}}}`;
    this.#recorder.sent();
    let answer: Answer;
    try {
      const response = await pool.request({ path, method: 'POST', headers: this.#headers, body });
      answer = readAnswer(response.statusCode, await response.body.text());
    } catch (error) {
      if (this.#dropped) {
        this.#recorder.dropped();
        return false;
      }
      answer = { outcome: 'unreachable', kind: codeOf(error), message: messageOf(error) };
    }
    this.#recorder.answered(answer, performance.now() - since);
    return answer.outcome !== 'unreachable';
  }
}

const operationsPath = '/armory/agent/operations';

function codeOf(error: unknown): string {
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : 'error';
}
