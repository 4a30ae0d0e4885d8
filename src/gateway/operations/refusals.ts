/**
 * Requests that were refused, in the history: callers get 503, 404 or 429 and come again and again, so those of a minute
 * with the same caller, account, type and reason share one record with a count. It is written moments later.
 *
 * Anybody can cause refusals with any number of names and addresses: what exceeds `recordsPerMinute` is counted in one
 * record for each reason. Those that anybody can cause have a limit of their own, so that they hide no others.
 */

import { messageOf, type ErrorCode, type GatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import type { FinishedOperation, RecordedRequest } from '../../store/operations/operation-record.js';
import type { OperationStore } from '../../store/operations/operations.js';
import type { Metrics } from '../telemetry/metrics.js';
import { createOperationIds } from './operation-id.js';

export interface RefusalsOptions {
  readonly instanceId: string;
  readonly operations: Pick<OperationStore, 'countRefusals'>;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'recordsLost'>;
  /** Wall clock, Unix ms: for recorded times. */
  readonly now: () => number;
}

/** A request that was refused. */
export interface RefusedRequest extends Pick<RecordedRequest, 'object' | 'mode'> {
  /** Its principal, or "anonymous ADDRESS". */
  readonly caller: string;
  /** '' if it is not known yet. */
  readonly account: string;
  /** '' if it is not known yet. */
  readonly type: string;
  /** As the Kubernetes API names it. */
  readonly verb?: string | undefined;
  readonly error: GatewayError;
}

/** Errors with which nothing was done. Not those of a malformed request: its caller must change it. */
const refusing: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'unknown-account',
  'no-agent',
  'owner-unreachable',
  'overloaded',
  'draining',
  'too-large',
  'dependency-unavailable',
  'unauthenticated',
  'permission-denied',
  'not-implemented',
]);
const byAnybody: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'unknown-account',
  'unauthenticated',
  'permission-denied',
  'overloaded',
]);
/** Whether a request with this error was refused. */
export function isRefusal({ code }: GatewayError): boolean {
  return refusing.has(code);
}

const recordsPerMinute = 100;
const minuteMs = 60_000;
const writeMs = 1_000;
/** While the database is away, older minutes wait, too. */
const mostWaiting = 1_000;

interface Counted {
  readonly minute: number;
  readonly record: FinishedOperation;
  /** Not written yet as it is. */
  changed: boolean;
}

export class Refusals {
  readonly #options: RefusalsOptions;
  readonly #newId = createOperationIds();
  readonly #counted = new Map<string, Counted>();
  #minute = 0;
  /** Records of this minute: those that anybody can cause, and the others. */
  #made = { byAnybody: 0, others: 0 };

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  /** Counts a refusal; an error that is none is ignored. Never throws. */
  add(refused: RefusedRequest): void {
    const { code } = refused.error;
    if (!isRefusal(refused.error)) return;
    const { instanceId, now, metrics } = this.#options;
    const time = now();
    const minute = Math.floor(time / minuteMs);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#made = { byAnybody: 0, others: 0 };
    }
    const key = this.#keyOf(refused, minute);
    const known = this.#counted.get(key.text);
    if (known === undefined && this.#counted.size >= mostWaiting) {
      metrics.recordsLost.inc();
      return;
    }
    const startTime = known?.record.startTime ?? time;
    const endTime = Math.max(startTime, time);
    const record: FinishedOperation = {
      operationId: known?.record.operationId ?? this.#newId(time),
      operationType: key.isShared ? '' : refused.type,
      account: key.isShared ? '' : refused.account,
      startTime,
      endTime,
      totalDurationMs: endTime - startTime,
      finalOutcome: 'refused',
      receivedBy: { instanceId, time: startTime },
      digest: '',
      errorMessage: refused.error.message,
      reason: code,
      count: (known?.record.count ?? 0) + 1,
      ...(key.isShared
        ? {}
        : { caller: refused.caller, object: refused.object, mode: refused.mode, verb: refused.verb }),
    };
    this.#counted.set(key.text, { minute, record, changed: true });
  }

  /** Writes the records until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    const { logger } = this.#options;
    const failed = (error: unknown): void => {
      logger.debug({ error: messageOf(error) }, 'could not record refused requests; retrying');
    };
    return repeat({ pauseMs: () => writeMs, failed }, signal, () => this.write(signal));
  }

  /** Writes what has changed. @throws GatewayError `dependency-unavailable` */
  async write(signal?: AbortSignal): Promise<void> {
    const minute = Math.floor(this.#options.now() / minuteMs);
    const written = [...this.#counted].filter(([, { changed }]) => changed);
    for (const [, counted] of written) counted.changed = false;
    try {
      if (written.length > 0) {
        await this.#options.operations.countRefusals(
          written.map(([, { record }]) => record),
          signal,
        );
      }
    } catch (error) {
      for (const [, counted] of written) counted.changed = true;
      throw error;
    }
    for (const [key, counted] of this.#counted) {
      if (!counted.changed && counted.minute < minute) this.#counted.delete(key);
    }
  }

  #keyOf(
    { error, caller, account, type }: RefusedRequest,
    minute: number,
  ): { readonly text: string; readonly isShared: boolean } {
    const text = JSON.stringify([minute, error.code, caller, account, type]);
    if (this.#counted.has(text)) return { text, isShared: false };
    const limit = byAnybody.has(error.code) ? 'byAnybody' : 'others';
    if (this.#made[limit] >= recordsPerMinute) return { text: JSON.stringify([minute, error.code]), isShared: true };
    this.#made[limit] += 1;
    return { text, isShared: false };
  }
}
