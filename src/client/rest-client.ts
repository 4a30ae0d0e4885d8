/** Calls of a gateway's REST API for the terminal: every failure becomes one sentence and an exit code. */

import { Agent, request, type Dispatcher } from 'undici';
import { UsageError } from '../command-line/usage-error.js';
import { messageOf } from '../core/errors.js';
import { parseJson, stringifyJson } from '../documents/exact-json.js';
import type { ClientCredentials } from './credentials.js';
import { ClientError, exitCodeOf, exitCodes, foreignExitCodeOf } from './exit-code.js';

/** Fields of every record and their types: other servers answer with JSON, too. */
export type Shape<Row> = Readonly<Partial<Record<keyof Row, 'string' | 'boolean' | 'object'>>>;

export interface RestClient {
  /** @throws ClientError */
  list<Row>(path: string, shape: Shape<Row>, query?: QueryParameters): Promise<readonly Row[]>;
  /** As list(), of a list in pages. @throws ClientError */
  page<Row>(path: string, shape: Shape<Row>, query?: QueryParameters): Promise<RowPage<Row>>;
  /** @throws ClientError */
  one<Row>(path: string, shape: Shape<Row>, query?: QueryParameters): Promise<Row>;
  /** @throws ClientError */
  delete(path: string): Promise<ChangeAnswer>;
  /** @throws ClientError */
  post(path: string, body: unknown, headers: Readonly<Record<string, string>>): Promise<ChangeAnswer>;
}

/** Parameters; one with several values is repeated. */
export type QueryParameters = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface RowPage<Row> {
  readonly rows: readonly Row[];
  /** Parameter `after` of the next page, from `Link` (RFC 8288); undefined: this was the last one. */
  readonly after: string | undefined;
}

export interface ChangeAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly link: string | undefined;
}

export interface RestClientOptions {
  /** `http://host:port/path`, without a slash at the end: every request is below it. */
  readonly baseUrl: string;
  readonly signal: AbortSignal;
  /** For the gateway to begin its answer, in ms. */
  readonly timeoutMs: number;
  readonly credentials: ClientCredentials;
}

export function createRestClient({ baseUrl, signal, timeoutMs, credentials }: RestClientOptions): RestClient {
  const { token, ...tls } = credentials;
  const dispatcher = new Agent({ connect: tls });
  async function call(path: string, options: Partial<Dispatcher.RequestOptions>): Promise<ChangeAnswer> {
    const url = new URL(baseUrl + path);
    const headers = {
      accept: 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(options.headers as Record<string, string> | undefined),
    };
    let status: number;
    let text: string;
    let link: string | undefined;
    try {
      const response = await request(url, {
        method: 'GET',
        ...options,
        dispatcher,
        headers,
        signal,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
      });
      status = response.statusCode;
      link = response.headers['link']?.toString();
      text = await response.body.text();
    } catch (error) {
      signal.throwIfAborted();
      // The request may have arrived: a script that does not know cannot safely repeat it.
      const code = options.method === 'POST' && mayHaveArrived(error) ? exitCodes.noResult : exitCodes.unavailable;
      throw new ClientError(code, `${baseUrl} does not answer: ${reasonOf(error)}`);
    }
    const body = status === 204 ? {} : parse(text);
    if (status < 200 || status > 299) {
      const detail = problemDetail(body);
      if (detail !== undefined) throw new ClientError(exitCodeOf(status), detail);
      throw new ClientError(foreignExitCodeOf(status), `${url.href} answered ${status}, ${foreign}`);
    }
    if (body === undefined)
      throw new ClientError(exitCodes.unavailable, `${url.href} did not answer with JSON, ${foreign}`);
    return { status, body: body as Record<string, unknown>, link };
  }

  async function get<Row>(path: string, shape: Shape<Row>, isExpected: (body: unknown) => boolean) {
    const { body, link } = await call(path, {});
    const rows: readonly unknown[] = Array.isArray(body) ? body : [body];
    if (!isExpected(body) || !rows.every((row) => hasShape(row, shape)))
      throw new ClientError(exitCodes.unavailable, `${baseUrl}${path} gave an unexpected answer, ${foreign}`);
    return { body: body as unknown, link };
  }

  async function page<Row>(path: string, shape: Shape<Row>, query: QueryParameters = {}): Promise<RowPage<Row>> {
    const { body, link } = await get(withQuery(path, query), shape, Array.isArray);
    return { rows: body as readonly Row[], after: afterOf(link, baseUrl) };
  }

  return {
    page,
    list: async <Row>(path: string, shape: Shape<Row>, query: QueryParameters = {}) =>
      (await page(path, shape, query)).rows,
    one: async <Row>(path: string, shape: Shape<Row>, query: QueryParameters = {}) =>
      (await get(withQuery(path, query), shape, (body) => !Array.isArray(body))).body as Row,
    delete: (path) => call(path, { method: 'DELETE' }),
    post: (path, body, headers) =>
      call(path, {
        method: 'POST',
        body: stringifyJson(body),
        headers: { 'content-type': 'application/json', ...headers },
      }),
  };
}

function withQuery(path: string, query: QueryParameters): string {
  const set = Object.entries(query).flatMap(([name, value = []]) =>
    (typeof value === 'string' ? [value] : value).map((one): [string, string] => [name, one]),
  );
  const search = new URLSearchParams(set).toString();
  return search === '' ? path : `${path}?${search}`;
}

function afterOf(link: string | undefined, baseUrl: string): string | undefined {
  const [, next] = /<([^>]*)>; *rel="next"/u.exec(link ?? '') ?? [];
  return next === undefined ? undefined : (new URL(next, baseUrl).searchParams.get('after') ?? undefined);
}

/** The path of one item below `path`. @throws UsageError for a name that a URL cannot have there */
export function pathOf(path: string, name: string): string {
  if (name === '.' || name === '..') throw new UsageError(`"${name}" is not a valid name`);
  return `${path}/${encodeURIComponent(name)}`;
}

function hasShape<Row>(row: unknown, shape: Shape<Row>): boolean {
  if (typeof row !== 'object' || row === null) return false;
  return Object.entries(shape).every(([name, type]) => {
    const value = (row as Readonly<Record<string, unknown>>)[name];
    return typeof value === type && value !== null;
  });
}

function parse(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

const foreign = 'as no gateway does; check --rest';

/** The detail of one of our problems (RFC 9457). */
function problemDetail(body: unknown): string | undefined {
  const { type, detail } = (body ?? {}) as { readonly type?: unknown; readonly detail?: unknown };
  return typeof type === 'string' && typeof detail === 'string' ? detail : undefined;
}

const afterSending = ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'];

/** Whether the failure came after the connection was made. */
function mayHaveArrived(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' && afterSending.includes(code);
}

/** Node.js hides the reason of a failed connection in an AggregateError. */
function reasonOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  return messageOf(error) || (typeof code === 'string' ? code : 'no reason given');
}
