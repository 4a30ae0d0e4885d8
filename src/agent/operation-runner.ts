/**
 * Executes operations, each id at most once, and keeps the results until the gateway acknowledges them.
 *
 * An operation is in one of these places, and moves only down:
 *   queued        accepted, waiting for a free slot (bounded; beyond: 429, and the id is not remembered)
 *   executing     `execute` works on it (bounded)
 *   answered      its result is kept, encoded, and sent again on request and after every reconnect
 *   acknowledged  the gateway has the result: only the id is kept (bounded in number and time)
 * A repeated id is answered from `answered`, ignored while queued or executing, and refused (409) afterwards.
 */

import type { Logger } from '../core/logger.js';
import type { Operation } from '../protocol/generated/ops/operations_pb.js';
import { encodeResult, failures, isReading, withoutObjects, type Execution } from './operation-results.js';

/** Does the work of one operation. Anything it throws becomes a result with status 500. */
export type Execute = (operation: Operation, context: ExecuteContext) => Promise<Execution>;

export interface ExecuteContext {
  /** Aborts at the deadline and when the agent stops: nobody waits for the result any longer. */
  readonly signal: AbortSignal;
}

/** Where results go: a stream to the gateway. */
export interface ResultSink {
  readonly open: boolean;
  /** In bytes; a larger result is replaced by one that says so. */
  readonly maximumMessageBytes: number;
  send(bytes: Uint8Array): boolean;
}

export interface OperationRunnerOptions {
  readonly execute: Execute;
  readonly logger: Logger;
  /** The sink for results whose own stream has ended. */
  readonly currentSink: () => ResultSink | undefined;
  /** Whether a bound operation was sent to this runner, and not to another process of the agent. */
  readonly isOwn: (operation: Operation) => boolean;
  /** A clock that only goes forward, in ms. */
  readonly now: () => number;
  readonly maximumExecuting: number;
  readonly maximumQueued: number;
  /** For operations without a timeout, in ms. */
  readonly defaultTimeoutMs: number;
  /** The most operations without a receipt, and the most ids that are remembered after their receipt. */
  readonly rememberedOperations: number;
  /** How long ids and results are kept at most, in ms. */
  readonly rememberMs: number;
  /** When results of this many bytes wait for receipts, new operations get 429. */
  readonly maximumUnacknowledgedBytes: number;
}

/** An operation whose result the gateway does not have yet. */
interface Unfinished {
  readonly id: string;
  readonly account: string;
  readonly reads: boolean;
  /** The stream that sent the operation last; the result goes there while it is open. */
  via: ResultSink;
  /** By the runner's clock: when it arrived, then when it was answered. */
  since: number;
  work:
    | {
        readonly operation: Operation;
        readonly controller: AbortController;
        readonly timer: NodeJS.Timeout;
      }
    | undefined;
  /** The encoded answer. */
  answer: Uint8Array | undefined;
}

export interface OperationCounts {
  readonly executing: number;
  readonly queued: number;
  /** Answered, not acknowledged. */
  readonly unacknowledged: number;
  readonly remembered: number;
}

export class OperationRunner {
  readonly #options: OperationRunnerOptions;
  readonly #unfinished = new Map<string, Unfinished>();
  readonly #queue = new Set<Unfinished>();
  /** Operation id to when it was acknowledged, oldest first. */
  readonly #acknowledged = new Map<string, number>();
  readonly #idleWaiters = new Set<() => void>();
  #executing = 0;
  #unacknowledgedBytes = 0;
  #closed = false;

  constructor(options: OperationRunnerOptions) {
    this.#options = options;
  }

  get counts(): OperationCounts {
    let unacknowledged = 0;
    for (const entry of this.#unfinished.values()) if (entry.answer !== undefined) unacknowledged += 1;
    return {
      executing: this.#executing,
      queued: this.#queue.size,
      unacknowledged,
      remembered: this.#acknowledged.size,
    };
  }

  /** Accepts an operation that came over `via`. Never throws; refusals are results too. */
  accept(operation: Operation, via: ResultSink): void {
    this.#forgetOld();
    const known = this.#unfinished.get(operation.id);
    if (known !== undefined) {
      known.via = via;
      if (known.answer !== undefined) this.#deliver(known);
      return;
    }
    const refusal = this.#refusal(operation);
    if (refusal !== undefined) {
      via.send(encodeResult(operation, refusal, 0));
      return;
    }
    this.#admit(operation, via);
  }

  /** The gateway has the result, or can never use it. */
  acknowledge(operationId: string): void {
    const entry = this.#unfinished.get(operationId);
    if (entry?.answer === undefined) return;
    this.#unacknowledgedBytes -= entry.answer.byteLength;
    this.#unfinished.delete(operationId);
    this.#acknowledged.set(operationId, this.#options.now());
    if (this.#acknowledged.size > this.#options.rememberedOperations) {
      for (const oldest of this.#acknowledged.keys()) {
        this.#acknowledged.delete(oldest);
        break;
      }
    }
    this.#notifyIdle();
  }

  /** Sends results without a receipt whose stream has ended over the current one. */
  resend(): void {
    for (const entry of this.#unfinished.values()) if (!entry.via.open) this.#deliver(entry);
  }

  /** Whether an operation that came over `via` still lacks its receipt. */
  owes(via: ResultSink): boolean {
    for (const entry of this.#unfinished.values()) if (entry.via === via) return true;
    return false;
  }

  /** Refuses new operations and those not started yet. */
  close(): void {
    this.#closed = true;
    for (const entry of this.#queue) this.#answer(entry, failures.stopping(), 0);
  }

  /** Waits until every operation is executed and acknowledged, or the signal aborts. Never rejects. */
  async idle(signal: AbortSignal): Promise<void> {
    while (this.#unfinished.size > 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#idleWaiters.delete(done);
          signal.removeEventListener('abort', done);
          resolve();
        };
        this.#idleWaiters.add(done);
        signal.addEventListener('abort', done);
      });
    }
  }

  /** Aborts executing operations and answers for them. */
  abort(): void {
    this.close();
    for (const entry of this.#unfinished.values()) {
      const controller = entry.work?.controller;
      this.#answer(entry, failures.interrupted(), this.#options.now() - entry.since);
      controller?.abort();
    }
  }

  #refusal(operation: Operation): Execution | undefined {
    const { maximumExecuting, maximumQueued, maximumUnacknowledgedBytes, rememberedOperations } = this.#options;
    if (this.#closed) return failures.stopping();
    if (operation.id === '') return failures.withoutId();
    if (this.#acknowledged.has(operation.id)) return failures.executedBefore();
    if (operation.boundEpoch > 0n && !this.#options.isOwn(operation)) return failures.restarted();
    if (this.#executing >= maximumExecuting && this.#queue.size >= maximumQueued) {
      return failures.tooMany(`the agent already executes ${maximumExecuting} operations and queues ${maximumQueued}`);
    }
    if (this.#unacknowledgedBytes >= maximumUnacknowledgedBytes || this.#unfinished.size >= rememberedOperations) {
      return failures.tooMany('too many results already wait for a receipt from the gateway');
    }
    return undefined;
  }

  #admit(operation: Operation, via: ResultSink): void {
    const since = this.#options.now();
    const timeoutMs = operation.timeoutMs || this.#options.defaultTimeoutMs;
    const timer = setTimeout(() => this.#expire(entry, timeoutMs), Math.min(timeoutMs, 2 ** 31 - 1));
    const work = { operation, controller: new AbortController(), timer };
    const entry: Unfinished = {
      id: operation.id,
      account: operation.account,
      reads: isReading(operation),
      via,
      since,
      work,
      answer: undefined,
    };
    this.#unfinished.set(entry.id, entry);
    if (this.#executing < this.#options.maximumExecuting) void this.#run(entry);
    else this.#queue.add(entry);
  }

  async #run(entry: Unfinished): Promise<void> {
    if (entry.work === undefined) return;
    const { operation, controller } = entry.work;
    const startedAt = this.#options.now();
    this.#executing += 1;
    let execution: Execution;
    try {
      execution = await this.#options.execute(operation, { signal: controller.signal });
    } catch (error) {
      this.#options.logger.error({ operationId: operation.id, error }, 'unexpected error in an operation; it fails');
      execution = failures.internal(operation.id);
    }
    // The slot stays taken until the work has really ended, even if its deadline was answered long ago.
    this.#executing -= 1;
    this.#answer(entry, execution, this.#options.now() - startedAt);
    this.#startNext();
  }

  #startNext(): void {
    for (const next of this.#queue) {
      if (this.#executing >= this.#options.maximumExecuting) return;
      this.#queue.delete(next);
      void this.#run(next);
    }
  }

  #expire(entry: Unfinished, timeoutMs: number): void {
    const controller = entry.work?.controller;
    const queued = this.#queue.has(entry);
    this.#answer(
      entry,
      queued ? failures.expiredInQueue(timeoutMs) : failures.timeout(timeoutMs),
      queued ? 0 : timeoutMs,
    );
    controller?.abort(new DOMException(`deadline of ${timeoutMs} ms passed`, 'TimeoutError'));
  }

  /** The first answer counts; later ones are dropped. */
  #answer(entry: Unfinished, execution: Execution, durationMs: number): void {
    if (entry.work === undefined) return;
    clearTimeout(entry.work.timer);
    entry.work = undefined;
    this.#queue.delete(entry);
    entry.since = this.#options.now();
    this.#keep(entry, encodeResult(entry, execution, durationMs));
    this.#deliver(entry);
  }

  #keep(entry: Unfinished, answer: Uint8Array): void {
    this.#unacknowledgedBytes += answer.byteLength - (entry.answer?.byteLength ?? 0);
    entry.answer = answer;
  }

  #deliver(entry: Unfinished): void {
    const sink = entry.via.open ? entry.via : this.#options.currentSink();
    if (sink === undefined || entry.answer === undefined) return;
    const bytes = entry.answer.byteLength;
    if (bytes > sink.maximumMessageBytes) {
      this.#keep(entry, smaller(entry, entry.answer, sink.maximumMessageBytes));
    }
    entry.via = sink;
    sink.send(entry.answer);
  }

  #forgetOld(): void {
    const before = this.#options.now() - this.#options.rememberMs;
    for (const [id, at] of this.#acknowledged) {
      if (at > before) break;
      this.#acknowledged.delete(id);
    }
    for (const [id, { answer, since }] of this.#unfinished) {
      if (answer === undefined || since > before) break;
      this.#unfinished.delete(id);
      this.#unacknowledgedBytes -= answer.byteLength;
    }
  }

  #notifyIdle(): void {
    if (this.#unfinished.size > 0) return;
    for (const notify of this.#idleWaiters) notify();
  }
}

/** An answer that the gateway accepts, in place of one that is too large. */
function smaller(entry: Unfinished, answer: Uint8Array, maximumBytes: number): Uint8Array {
  const reduced = entry.reads ? answer : withoutObjects(answer, maximumBytes);
  if (reduced.byteLength <= maximumBytes) return reduced;
  return encodeResult(entry, failures.tooLarge(answer.byteLength, maximumBytes), 0);
}
