/** Worker: one caller with one connection, so that one operation is in flight. */

import { setTimeout as delay } from 'node:timers/promises';
import { Histogram } from '../src/simulate/histogram.js';
import { answerCalls } from './child.js';
import { HttpConnection, requestBytes } from './http-connection.js';
import type { LoadReport } from './load.js';
import { mark, traceMethods } from './marks.js';
import { requestBody, type Form, type Kind } from './operations.js';

export interface LatencyLoadOptions {
  /** Of the operations. */
  readonly url: string;
  readonly kind: Kind;
  readonly form: Form;
  readonly accounts: readonly string[];
  readonly durationMs: number;
  /** Ends the run earlier. */
  readonly maximumOperations: number;
  /** Between an answer and the next request, in ms; 0: none. */
  readonly pauseMs: number;
}

const kept = new Map<string, HttpConnection>();

async function connectionTo(origin: string): Promise<HttpConnection> {
  const known = kept.get(origin);
  if (known?.open === true) return known;
  const opened = await HttpConnection.open(origin);
  kept.set(origin, opened);
  return opened;
}

/** @throws Error on the first answer that is not 200 with a result: a bench of failures measures nothing */
async function run(options: LatencyLoadOptions): Promise<LoadReport> {
  const { kind, form, accounts, durationMs, maximumOperations, pauseMs } = options;
  const url = new URL(options.url);
  const connection = await connectionTo(url.origin);
  const requests = accounts.map((account) =>
    requestBytes('POST', url, requestBody(kind, form, account), { prefer: 'wait=20' }),
  );
  const latency = new Histogram();
  const startedAt = performance.now();
  const endsAt = startedAt + durationMs;
  for (let sent = 0; sent < maximumOperations; sent += 1) {
    const since = performance.now();
    if (since >= endsAt) break;
    mark('request written');
    const answer = await connection.ask(requests[sent % requests.length] ?? Buffer.alloc(0));
    mark('answer read');
    latency.record((performance.now() - since) * 1_000);
    if (!isResult(answer)) throw new Error(`${url.href} answered: ${answer.toString('utf8', 0, 500)}`);
    if (pauseMs > 0) await delay(pauseMs);
  }
  return {
    operations: latency.count,
    elapsedMs: performance.now() - startedAt,
    p50Ms: latency.quantile(0.5) / 1_000,
    p99Ms: latency.quantile(0.99) / 1_000,
  };
}

function isResult(answer: Buffer): boolean {
  return answer.toString('latin1', 0, 12) === 'HTTP/1.1 200' && answer.includes('"result"');
}

answerCalls({ run, ...traceMethods });
