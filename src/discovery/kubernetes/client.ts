/**
 * The little of the Kubernetes API that discovery speaks: get and post JSON, and watch, over one connection.
 * Our own and not the library's Watch and informer: those drop the status of an error, swallow lines that are not JSON,
 * and stop for good on most failures.
 */

import { StringDecoder } from 'node:string_decoder';
import type { Dispatcher } from 'undici';
import { withDeadline } from '../../core/deadline.js';
import type { ApiAccess } from './credentials.js';
import type { KubernetesObject } from './sources.js';

/** An answer other than success: an HTTP status, or the Status object inside a watch. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  /** @param status HTTP status code, or the `code` of the Status */
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: KubernetesObject;
}

type Query = Readonly<Record<string, string>>;

/** etcd takes objects of 1.5 MB; a page of a list holds 500. */
const maximumObjectBytes = 8 * 1024 * 1024;
const maximumPageBytes = 64 * 1024 * 1024;
const maximumErrorBytes = 64 * 1024;

export class ApiClient {
  readonly #access: ApiAccess;
  readonly #timeoutMs: number;

  /** @param timeoutMs how long one answer may take, and the beginning of a watch */
  constructor(access: ApiAccess, timeoutMs: number) {
    this.#access = access;
    this.#timeoutMs = timeoutMs;
  }

  /** @throws ApiError; whatever the connection failed with; `timed-out`; the signal's reason */
  get(path: string, query: Query, signal: AbortSignal): Promise<unknown> {
    return this.#json('GET', path, query, undefined, signal);
  }

  post(path: string, body: object, signal: AbortSignal): Promise<unknown> {
    return this.#json('POST', path, {}, JSON.stringify(body), signal);
  }

  /**
   * Begins a watch; resolves when the server has accepted it. The events end when the server ends the watch in order.
   * @throws ApiError also while the events are read: an ERROR event; 410 when the version is too old to watch from
   */
  async watch(path: string, query: Query, signal: AbortSignal): Promise<AsyncIterable<WatchEvent>> {
    const all = { ...query, watch: 'true', allowWatchBookmarks: 'true' };
    const limits = { headersTimeout: this.#timeoutMs, bodyTimeout: 0 };
    const response = await this.#request({ method: 'GET', path, signal, ...limits }, all);
    return events(response.body);
  }

  async #json(
    method: 'GET' | 'POST',
    path: string,
    query: Query,
    body: string | undefined,
    signal: AbortSignal,
  ): Promise<unknown> {
    return withDeadline(this.#timeoutMs, signal, `${method} ${path}`, async (limit) => {
      const response = await this.#request({ method, path, signal: limit, body: body ?? null }, query);
      return JSON.parse(await textOf(response.body, maximumPageBytes)) as unknown;
    });
  }

  async #request(options: Dispatcher.RequestOptions, query: Query): Promise<Dispatcher.ResponseData> {
    const { server, headers, dispatcher } = this.#access;
    const url = new URL(`${server.replace(/\/+$/, '')}${options.path}`);
    url.search = new URLSearchParams(query).toString();
    const response = await dispatcher.request({
      ...options,
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      headers: { accept: 'application/json', 'content-type': 'application/json', ...headers },
    });
    if (response.statusCode >= 200 && response.statusCode < 300) return response;
    throw statusError(response.statusCode, await textOf(response.body, maximumErrorBytes));
  }
}

async function* events(body: AsyncIterable<Uint8Array>): AsyncGenerator<WatchEvent> {
  for await (const line of lines(body)) {
    const event = JSON.parse(line) as WatchEvent | { readonly type: 'ERROR'; readonly object: { code?: number } };
    if (event.type === 'ERROR') throw statusError(event.object.code ?? 500, JSON.stringify(event.object));
    yield event;
  }
}

/** Splits at line feeds. @throws Error when the last line has no end: the connection was cut */
async function* lines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of body) {
    const parts = (rest + decoder.write(Buffer.from(chunk))).split('\n');
    rest = parts.pop() ?? '';
    if (rest.length > maximumObjectBytes) throw new Error('an event of the watch is too large');
    yield* parts.filter((part) => part !== '');
  }
  if (rest !== '') throw new Error('the watch was cut off in the middle of an event');
}

async function textOf(body: AsyncIterable<Uint8Array>, maximumBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maximumBytes) throw new Error('the answer of the Kubernetes API is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Says what the API's Status object says, or else only the code: a proxy in between may have answered anything. */
function statusError(status: number, text: string): ApiError {
  let message = '';
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && 'message' in parsed) message = `: ${String(parsed.message)}`;
  } catch {
    // Not a Status.
  }
  return new ApiError(status, `the Kubernetes API answered ${String(status)}${message}`);
}
