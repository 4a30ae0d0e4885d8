/**
 * A client of the Kubernetes API: JSON calls of any kind, text, and watches.
 * It replaces the library's Watch and informer, which drop the status of an error, swallow lines that are not JSON,
 * and stop for good on most failures.
 */

import { StringDecoder } from 'node:string_decoder';
import type { Dispatcher } from 'undici';
import { withDeadline } from '../core/deadline.js';
import { GatewayError, TellableError } from '../core/errors.js';
import { parseJson, stringifyJson } from '../documents/exact-json.js';
import type { ApiAccess } from './access.js';
import { ListSplitter } from './list-splitter.js';

/** One of several reasons of a refusal: a field, and what is wrong with it (`details.causes` of a Status). */
export interface ApiErrorCause {
  readonly reason?: string;
  readonly message: string;
  readonly field?: string;
}

/** An answer other than success: an HTTP status, or the Status object inside a watch. */
export class ApiError extends TellableError {
  override readonly name = 'ApiError';

  /**
   * @param status HTTP status code, or the `code` of the Status
   * @param detail Kubernetes' own message; '' if there is none
   * @param reason Kubernetes' own reason ("NotFound"); '' if there is none
   * @param retryAfterMs the wait before the next attempt that the server asks for
   * @param causes the fields at fault, if the server names them
   */
  constructor(
    readonly status: number,
    message: string,
    readonly detail = '',
    readonly reason = '',
    readonly retryAfterMs?: number,
    readonly causes: readonly ApiErrorCause[] = [],
  ) {
    super(message);
  }
}

/** The annotation in which `kubectl apply` keeps a whole copy of the applied object, including the data of a Secret. */
export const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

/** The fields of every object. */
export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion: string;
    readonly generation?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly { readonly uid: string; readonly controller?: boolean }[];
  };
}

/** One page of a list. */
export interface ObjectList<T extends KubernetesObject = KubernetesObject> {
  readonly apiVersion: string;
  /** "PodList". */
  readonly kind: string;
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly T[] | null;
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: KubernetesObject;
}

export type Query = Readonly<Record<string, string>>;

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Query;
  /** Sent as JSON; text and bytes as they are. */
  readonly body?: object | string | Uint8Array;
  /** Default `application/json`. */
  readonly contentType?: string;
  /** Default `application/json`. */
  readonly accept?: string;
}

/** The server's address and our credentials; read before each request, so that tokens may change. */
export interface AccessSource {
  /** @throws the signal's reason */
  current(signal: AbortSignal): Promise<ApiAccess>;
  /** The server did not accept these credentials (401). */
  refused(access: ApiAccess): void;
}

/** etcd accepts objects of 1.5 MB; a page of a list holds 500. */
const maximumObjectBytes = 8 * 1024 * 1024;
const maximumPageBytes = 64 * 1024 * 1024;
const maximumErrorBytes = 64 * 1024;

export class ApiClient {
  readonly #source: AccessSource;
  readonly #timeoutMs: number;

  /** @param timeoutMs how long one answer may take, and the beginning of a watch */
  constructor(access: ApiAccess | AccessSource, timeoutMs: number) {
    this.#source = 'current' in access ? access : { current: () => Promise.resolve(access), refused: () => undefined };
    this.#timeoutMs = timeoutMs;
  }

  /** @throws ApiError; the error of the connection; `timed-out`; the signal's reason */
  get(path: string, query: Query, signal: AbortSignal): Promise<unknown> {
    return this.call({ method: 'GET', path, query }, signal);
  }

  post(path: string, body: object, signal: AbortSignal): Promise<unknown> {
    return this.call({ method: 'POST', path, body }, signal);
  }

  /** Any request whose answer is JSON, whose numbers are exact (documents/exact-json.ts). @throws as get() */
  async call(request: ApiRequest, signal: AbortSignal): Promise<unknown> {
    const text = await this.text(request, signal);
    try {
      return parseJson(text);
    } catch (error) {
      throw new GatewayError('dependency-unavailable', 'the answer of the Kubernetes API is not JSON', {
        cause: error,
      });
    }
  }

  /**
   * One page of a list, whose objects are passed on while it arrives; they lack apiVersion and kind.
   * @throws as get(); errors of onItem
   */
  list(
    path: string,
    query: Query,
    signal: AbortSignal,
    onItem: (object: KubernetesObject) => void,
  ): Promise<ObjectList['metadata']> {
    return withDeadline(this.#timeoutMs, signal, `GET ${path}`, async (limit) => {
      const { body } = await this.#send({ method: 'GET', path, query }, limit, {});
      const splitter = new ListSplitter(maximumObjectBytes, (json) => {
        onItem(parseJson(json.toString('utf8')) as KubernetesObject);
      });
      for await (const chunk of body) splitter.push(chunk as Buffer);
      return (splitter.end() as ObjectList).metadata;
    });
  }

  /** Any request, its answer as text. @throws as get() */
  text(request: ApiRequest, signal: AbortSignal): Promise<string> {
    const { method, path } = request;
    return withDeadline(this.#timeoutMs, signal, `${method} ${path}`, async (limit) => {
      const response = await this.#send(request, limit, {});
      return textOf(response.body, maximumPageBytes);
    });
  }

  /**
   * Begins a watch; resolves when the server has accepted it. Yields events that arrived together as one batch; ends
   * when the server ends the watch normally.
   * @throws ApiError also while the events are read: an ERROR event; 410 if the version is too old to watch from
   */
  async watchBatches(path: string, query: Query, signal: AbortSignal): Promise<AsyncIterable<readonly WatchEvent[]>> {
    const all = { ...query, watch: 'true', allowWatchBookmarks: 'true' };
    const limits = { headersTimeout: this.#timeoutMs, bodyTimeout: 0 };
    const response = await this.#send({ method: 'GET', path, query: all }, signal, limits);
    return batches(response.body);
  }

  /** As watchBatches(), one event at a time. */
  async watch(path: string, query: Query, signal: AbortSignal): Promise<AsyncIterable<WatchEvent>> {
    return flatten(await this.watchBatches(path, query, signal));
  }

  async #send(
    request: ApiRequest,
    signal: AbortSignal,
    limits: { readonly headersTimeout?: number; readonly bodyTimeout?: number },
  ): Promise<Dispatcher.ResponseData> {
    const access = await this.#source.current(signal);
    const { server, headers, dispatcher } = access;
    const { method, path, query = {}, body, accept = 'application/json', contentType = 'application/json' } = request;
    const url = new URL(`${server.replace(/\/+$/, '')}${path}`);
    url.search = new URLSearchParams(query).toString();
    const response = await dispatcher.request({
      method,
      signal,
      ...limits,
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      headers: { accept, 'content-type': contentType, ...headers },
      body: bodyOf(body),
    });
    if (response.statusCode >= 200 && response.statusCode < 300) return response;
    if (response.statusCode === 401) this.#source.refused(access);
    const retryAfter = Number(response.headers['retry-after']);
    const text = await textOf(response.body, maximumErrorBytes);
    throw statusError(response.statusCode, text, retryAfter > 0 ? retryAfter * 1_000 : undefined);
  }
}

function bodyOf(body: ApiRequest['body']): string | Uint8Array | null {
  if (body === undefined) return null;
  return typeof body === 'string' || body instanceof Uint8Array ? body : stringifyJson(body);
}

async function* flatten(all: AsyncIterable<readonly WatchEvent[]>): AsyncGenerator<WatchEvent> {
  for await (const events of all) yield* events;
}

async function* batches(body: AsyncIterable<Uint8Array>): AsyncGenerator<readonly WatchEvent[]> {
  for await (const lines of lineBatches(body)) {
    const events: WatchEvent[] = [];
    let failure: ApiError | undefined;
    for (const line of lines) {
      const event = parseJson(line) as WatchEvent | { readonly type: 'ERROR'; readonly object: { code?: number } };
      if (event.type === 'ERROR') {
        failure = statusError(event.object.code ?? 500, stringifyJson(event.object));
        break;
      }
      events.push(event);
    }
    if (events.length > 0) yield events;
    if (failure !== undefined) throw failure;
  }
}

/** Splits at line feeds. @throws Error when the last line has no end: the connection was cut */
async function* lineBatches(body: AsyncIterable<Uint8Array>): AsyncGenerator<readonly string[]> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of body) {
    const parts = (rest + decoder.write(Buffer.from(chunk))).split('\n');
    rest = parts.pop() ?? '';
    if (rest.length > maximumObjectBytes) throw new Error('an event of the watch is too large');
    yield parts.filter((part) => part !== '');
  }
  if (rest !== '') throw new Error('the watch was cut off in the middle of an event');
}

async function textOf(body: AsyncIterable<Uint8Array>, maximumBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maximumBytes) throw new GatewayError('too-large', 'the answer of the Kubernetes API is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Uses the API's Status object, or else only the code: a proxy in between may have answered anything. */
function statusError(status: number, text: string, retryAfterMs?: number): ApiError {
  let detail = '';
  let reason = '';
  let causes: readonly ApiErrorCause[] = [];
  try {
    const parsed = parseJson(text);
    if (typeof parsed === 'object' && parsed !== null) {
      if ('message' in parsed) detail = String(parsed.message);
      if ('reason' in parsed) reason = String(parsed.reason);
      if ('details' in parsed) causes = causesOf(parsed.details);
    }
  } catch {
    // Not a Status.
  }
  const message = `the Kubernetes API answered ${String(status)}${detail === '' ? '' : `: ${detail}`}`;
  return new ApiError(status, message, detail, reason, retryAfterMs, causes);
}

function causesOf(details: unknown): readonly ApiErrorCause[] {
  const { causes } = (details ?? {}) as { readonly causes?: unknown };
  if (!Array.isArray(causes)) return [];
  return causes.filter((cause): cause is ApiErrorCause => typeof (cause as ApiErrorCause | null)?.message === 'string');
}
