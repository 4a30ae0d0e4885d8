/** Worker: the load generator of the Kubernetes API. Requests are a closed loop: each caller sends when it has its answer. */

import { get } from 'node:http';
import { once } from 'node:events';
import { listBytes, listPath, objectsPath, watchPath } from './api-requests.js';
import { answerCalls } from './child.js';
import { HttpConnection, requestBytes } from './http-connection.js';
import type { LoadReport } from './load.js';
import { payloadBytes, sampleManifest } from './operations.js';
import { Histogram } from '../src/simulate/histogram.js';

export interface ApiLoadOptions {
  /** Of the API: what comes before `/api/v1`. */
  readonly baseUrl: string;
  /** Callers, each with a connection of its own. */
  readonly inFlight: number;
  /** Of the run; each caller sends at least one request. */
  readonly durationMs: number;
}

export interface ApiWatchesOptions {
  /** One per account; the watches are spread evenly over them. */
  readonly baseUrls: readonly string[];
  readonly watches: number;
}

/** Watches that are opened at the same time. */
const opening = 32;

const kept = new Map<string, HttpConnection[]>();
const watching: HttpConnection[] = [];

/** Connections are kept from one run to the next, as clients keep theirs. */
async function connections(baseUrl: string, count: number): Promise<readonly HttpConnection[]> {
  const open = (kept.get(baseUrl) ?? []).filter((connection) => connection.open);
  while (open.length < count) open.push(await HttpConnection.open(baseUrl));
  kept.set(baseUrl, open);
  return open.slice(0, count);
}

/** @throws Error on the first answer that is not 200 with an object: a bench of failures measures nothing */
async function run({ baseUrl, inFlight, durationMs }: ApiLoadOptions): Promise<LoadReport> {
  const callers = await connections(baseUrl, inFlight);
  const request = requestBytes('POST', new URL(`${baseUrl}${objectsPath}`), sampleManifest());
  const latency = new Histogram();
  const startedAt = performance.now();
  const endsAt = startedAt + durationMs;
  const call = async (connection: HttpConnection): Promise<void> => {
    let since = performance.now();
    do {
      const answer = await connection.ask(request);
      if (!isSuccess(answer) || answer.length < payloadBytes) throw refused(baseUrl, answer);
      const now = performance.now();
      latency.record((now - since) * 1_000);
      since = now;
    } while (since < endsAt);
  };
  await Promise.all(callers.map(call));
  return {
    operations: latency.count,
    elapsedMs: performance.now() - startedAt,
    p50Ms: latency.quantile(0.5) / 1_000,
    p99Ms: latency.quantile(0.99) / 1_000,
  };
}

/** Reads the list once. @returns how long it took, in ms. @throws Error when it is not whole */
async function list({ baseUrl }: { readonly baseUrl: string }): Promise<number> {
  const startedAt = performance.now();
  const request = get(`${baseUrl}${listPath}`, { agent: false });
  const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream & { readonly statusCode: number }];
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(response, 'end');
  if (response.statusCode !== 200 || bytes !== listBytes)
    throw new Error(`${baseUrl}${listPath} answered ${response.statusCode} with ${bytes} bytes of ${listBytes}`);
  return performance.now() - startedAt;
}

/** Opens watches, beside those that are open; resolves when all have begun. */
async function watch({ baseUrls, watches }: ApiWatchesOptions): Promise<void> {
  let next = 0;
  const open = async (): Promise<void> => {
    while (next < watches) {
      const baseUrl = baseUrls[next % baseUrls.length] ?? '';
      next += 1;
      const connection = await HttpConnection.open(baseUrl);
      watching.push(connection);
      const head = await connection.begin(requestBytes('GET', new URL(`${baseUrl}${watchPath}`), ''));
      if (!isSuccess(head)) throw refused(baseUrl, head);
    }
  };
  await Promise.all(Array.from({ length: opening }, open));
}

/** How many of the watches are still open. */
function watched(): number {
  return watching.filter((connection) => connection.open).length;
}

function isSuccess(answer: Buffer): boolean {
  return answer.toString('latin1', 0, 12) === 'HTTP/1.1 200';
}

function refused(baseUrl: string, answer: Buffer): Error {
  return new Error(`${baseUrl} answered: ${answer.toString('utf8', 0, 500)}`);
}

answerCalls({ run, list, watch, watched });
