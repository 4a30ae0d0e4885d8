/** Calls of a gateway's REST API for the terminal: every failure becomes one sentence and an exit code. */

import { Agent, request, type Dispatcher } from 'undici';
import { messageOf } from '../core/errors.js';
import { parseJson, stringifyJson } from '../documents/exact-json.js';
import type { ClientCredentials } from './credentials.js';
import { ClientError, exitCodeOf, exitCodes } from './exit-code.js';

export interface RestClient {
  /** @throws ClientError */
  get(path: string, query?: Readonly<Record<string, string | undefined>>): Promise<unknown>;
  /** @throws ClientError */
  post(path: string, body: unknown, headers: Readonly<Record<string, string>>): Promise<PostAnswer>;
}

export interface PostAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface RestClientOptions {
  /** `http://host:port`. */
  readonly baseUrl: string;
  readonly signal: AbortSignal;
  /** For the gateway to begin its answer, in ms. */
  readonly timeoutMs: number;
  readonly credentials: ClientCredentials;
}

export function createRestClient({ baseUrl, signal, timeoutMs, credentials }: RestClientOptions): RestClient {
  const { token, ...tls } = credentials;
  const dispatcher = new Agent({ connect: tls });
  async function call(path: string, options: Partial<Dispatcher.RequestOptions>): Promise<PostAnswer> {
    const url = new URL(path, baseUrl);
    const headers = {
      accept: 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(options.headers as Record<string, string> | undefined),
    };
    let status: number;
    let text: string;
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
      text = await response.body.text();
    } catch (error) {
      signal.throwIfAborted();
      throw new ClientError(exitCodes.unavailable, `${url.origin} does not answer: ${reasonOf(error)}`);
    }
    const body = parse(text);
    if (status < 200 || status > 299) throw new ClientError(exitCodeOf(status), problemText(status, body, text));
    if (body === undefined)
      throw new ClientError(exitCodes.unavailable, `${url.href} answered ${status} with something that is not JSON`);
    return { status, body: body as Record<string, unknown> };
  }

  return {
    get: async (path, query = {}) => {
      const set = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
      const search = new URLSearchParams(set).toString();
      return (await call(search === '' ? path : `${path}?${search}`, {})).body;
    },
    post: (path, body, headers) =>
      call(path, {
        method: 'POST',
        body: stringifyJson(body),
        headers: { 'content-type': 'application/json', ...headers },
      }),
  };
}

function parse(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

/** RFC 9457's detail, or what there is. */
function problemText(status: number, body: unknown, text: string): string {
  const { detail } = (body ?? {}) as { readonly detail?: unknown };
  return typeof detail === 'string' ? detail : `the gateway answered ${status}: ${text.slice(0, 200)}`;
}

/** Node.js hides why a connection failed in an error of several. */
function reasonOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  return messageOf(error) || (typeof code === 'string' ? code : 'no reason given');
}
