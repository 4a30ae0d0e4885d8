/** Worker: the load generator. A closed loop: each of the callers sends when it has its answer. */

import { performance } from 'node:perf_hooks';
import { Pool } from 'undici';
import { Histogram } from '../src/simulate/histogram.js';
import { answerCalls } from './child.js';
import { requestBody, type Form, type Kind } from './operations.js';

export interface LoadOptions {
  readonly baseUrl: string;
  readonly path: string;
  readonly kind: Kind;
  readonly form: Form;
  readonly accounts: readonly string[];
  /** Callers, each with a connection of its own. */
  readonly inFlight: number;
  readonly durationMs: number;
  /** Ends the run earlier. */
  readonly maximumOperations: number;
}

export interface LoadReport {
  readonly operations: number;
  readonly elapsedMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const pools = new Map<string, Pool>();

function poolOf(baseUrl: string, connections: number): Pool {
  const pool = pools.get(baseUrl) ?? new Pool(baseUrl, { connections, headersTimeout: 30_000, bodyTimeout: 30_000 });
  pools.set(baseUrl, pool);
  return pool;
}

/** @throws Error on the first answer that is not 200 with a result: a bench of failures measures nothing */
async function run(options: LoadOptions): Promise<LoadReport> {
  const { baseUrl, path, kind, form, accounts, inFlight, durationMs, maximumOperations } = options;
  const pool = poolOf(baseUrl, inFlight);
  const bodies = accounts.map((account) => requestBody(kind, form, account));
  const headers = { 'content-type': 'application/json', accept: 'application/json', prefer: 'wait=20' };
  const latency = new Histogram();
  const startedAt = performance.now();
  const endsAt = startedAt + durationMs;
  let sent = 0;
  const caller = async (): Promise<void> => {
    while (sent < maximumOperations) {
      const since = performance.now();
      if (since >= endsAt) return;
      sent += 1;
      const body = bodies[sent % bodies.length] ?? '';
      const response = await pool.request({ method: 'POST', path, headers, body });
      const text = await response.body.text();
      if (response.statusCode !== 200 || !text.includes('"result"'))
        throw new Error(`${baseUrl}${path} answered ${response.statusCode}: ${text.slice(0, 300)}`);
      latency.record((performance.now() - since) * 1_000);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return {
    operations: latency.count,
    elapsedMs: performance.now() - startedAt,
    p50Ms: latency.quantile(0.5) / 1_000,
    p99Ms: latency.quantile(0.99) / 1_000,
  };
}

answerCalls({ run });
