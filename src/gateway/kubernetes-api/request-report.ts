/** What is told of one request of a caller: metrics, its span, and its row in the history. */

import type { RequestInfo } from '../../kubernetes/request-info.js';
import type { HeaderList } from '../../tunnel/exchange.js';
import {
  apiRequestVerb,
  refusalOutcome,
  statusOutcome,
  type ApiRequestMetrics,
  type ApiRequestOutcome,
} from '../telemetry/api-request-metrics.js';
import type { Tracing } from '../telemetry/tracing.js';
import { isRefusal, type Refusals } from '../operations/refusals.js';
import type { CreatedObject } from './created-object.js';
import { apiRequestType, isRecorded, objectOf, type ApiRequestRecords } from './records.js';
import { startRequestSpan, type RequestSpan } from './request-span.js';
import type { ApiDestination } from './routing.js';
import type { ServedEnd } from './served-request.js';
import { traceOf, withTrace } from './trace-headers.js';

export interface RequestReportOptions {
  readonly records: Pick<ApiRequestRecords, 'record'>;
  readonly refusals: Pick<Refusals, 'add'>;
  readonly metrics: ApiRequestMetrics;
  readonly tracing: Tracing;
  /** Wall clock, Unix ms. */
  readonly now: () => number;
}

/** What is known of a request before it is read. */
export interface RequestOrigin {
  /** As Node has them: name, value, name, value ... */
  readonly rawHeaders: HeaderList;
  /** Of its caller; '' if the connection is gone. */
  readonly address: string;
}

export class RequestReport {
  readonly #options: RequestReportOptions;
  readonly #account: string;
  /** Absent: its path cannot be read. */
  readonly #info: RequestInfo | undefined;
  readonly #upgrade: string;
  readonly #address: string;
  readonly #startTime: number;
  readonly #startedAt = performance.now();
  /** Absent: tracing is off. */
  readonly #span: RequestSpan | undefined;
  #destination: ApiDestination | undefined;
  #sentAt = 0;
  /** Of a request whose path does not have its name. */
  created: CreatedObject | undefined;
  /** '' until it has authenticated. */
  caller = '';

  constructor(
    options: RequestReportOptions,
    account: string,
    info: RequestInfo | undefined,
    upgrade: string,
    { rawHeaders, address }: RequestOrigin,
  ) {
    this.#options = options;
    this.#account = account;
    this.#info = info;
    this.#upgrade = upgrade;
    this.#address = address;
    this.#startTime = options.now();
    options.metrics.started(apiRequestVerb(info?.verb ?? '', upgrade));
    const { tracing } = options;
    if (!tracing.enabled) return;
    const { verb = '', resource = '' } = info ?? {};
    const parent = traceOf(rawHeaders);
    this.#span = startRequestSpan(tracing, { name: 'kubernetes-api', parent, account, verb, resource });
  }

  /** The headers of the request, inside its span. */
  traced(headers: HeaderList): HeaderList {
    return this.#span === undefined ? headers : withTrace(headers, this.#span.context);
  }

  /** The request was sent there; the last place counts. */
  sentTo(destination: ApiDestination): void {
    this.#destination = destination;
    this.#sentAt = performance.now();
  }

  ended(end: ServedEnd): void {
    const { metrics, records, refusals } = this.#options;
    const { requestBytes, responseBytes, status, failure } = end;
    this.#span?.end(status, failure);
    const sentMs = this.#destination === undefined ? undefined : this.#sentAt - this.#startedAt;
    metrics.finished({
      verb: apiRequestVerb(this.#info?.verb ?? '', this.#upgrade),
      path: this.#destination?.path ?? 'none',
      outcome: outcomeOf(end),
      requestBytes,
      responseBytes,
      addedSeconds: sentMs === undefined ? undefined : sentMs / 1_000,
    });
    const isUnsent = this.#destination === undefined || failure?.details.unsent === true;
    if (end.refused && failure !== undefined && isUnsent && isRefusal(failure)) {
      refusals.add({
        caller: this.caller === '' ? `anonymous ${this.#address}` : this.caller,
        account: this.#account,
        type: apiRequestType,
        verb: this.#info?.verb,
        object: this.#info && objectOf(this.#info),
        error: failure,
      });
      return;
    }
    // Others that have not authenticated would let anybody fill the table.
    if (this.#info === undefined || this.caller === '' || !isRecorded(this.#info, this.#upgrade)) return;
    const time = this.#startTime + Math.round(sentMs ?? 0);
    const destination = this.#destination;
    records.record({
      account: this.#account,
      caller: this.caller,
      info: this.created === undefined ? this.#info : { ...this.#info, name: this.created.name },
      startTime: this.#startTime,
      durationMs: performance.now() - this.#startedAt,
      requestBytes,
      responseBytes,
      owner: destination && { instanceId: destination.instanceId, time },
      agent: destination && { agentId: destination.agentId, time },
      status,
      failure,
    });
  }
}

function outcomeOf({ status, refused, failure }: ServedEnd): ApiRequestOutcome {
  if (refused) return refusalOutcome(status ?? 500);
  if (failure === undefined) return status === undefined ? 'cancelled' : statusOutcome(status);
  return failure.code === 'cancelled' ? 'cancelled' : 'broken';
}
