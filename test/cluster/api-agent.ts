/** An agent in the test's process whose answers to requests of the Kubernetes API are made up, and counted. */

import { AgentConnection } from '../../src/agent/connection.js';
import type { AgentConnectionLimits } from '../../src/agent/connection-options.js';
import { silentLogger } from '../../src/core/logger.js';
import type { TunnelAnswer, AnswerRequest, RequestEvents, TunnelledRequest } from '../../src/tunnel/exchange.js';
import { isWatch } from '../../src/tunnel/watch-request.js';
import { waitFor } from '../wait.js';

/** What reached the agent. */
export interface ReceivedRequest {
  /** Of the query. */
  readonly id: string;
  readonly method: string;
  /** Number of the agent's connection that was the current one. */
  readonly connection: number;
}

export interface ApiAgentOptions {
  readonly id: string;
  readonly account: string;
  readonly addresses: readonly string[];
  readonly limits?: Partial<AgentConnectionLimits>;
  /** Before each answer, in ms; default 0. */
  readonly latencyMs?: number;
}

/** How often a watch has an event, in ms. */
const eventMs = 20;
const json = ['content-type', 'application/json'];
const quick = { backoff: { initialMs: 100, maximumMs: 1_000, multiplier: 1.6, jitter: 0.2 } };

/**
 * A request is answered with JSON: its id and the bytes of its body. One with `hold` in its query waits for release(), a
 * watch gets an event every 20 ms, and an upgraded connection its own bytes.
 */
export class ApiAgent {
  readonly account: string;
  readonly connection: AgentConnection;
  readonly received: ReceivedRequest[] = [];
  /** Addresses of its connections, in their order. */
  readonly replicas: string[] = [];
  readonly #latencyMs: number;
  readonly #open = new Set<TunnelAnswer>();
  readonly #held = new Set<() => void>();

  constructor({ id, account, addresses, limits = {}, latencyMs = 0 }: ApiAgentOptions) {
    this.account = account;
    this.#latencyMs = latencyMs;
    this.connection = new AgentConnection({
      addresses,
      registration: {
        agentId: id,
        version: 'test',
        accounts: [{ name: account, properties: { kubernetesApi: 'full' } }],
      },
      execute: () => Promise.resolve({ status: 200, message: 'done' }),
      answerKubernetesApi: this.#answer,
      logger: silentLogger,
      limits: { ...quick, ...limits },
      onState: (state) => {
        if (state.name === 'active') this.replicas.push(state.clouddriverId);
      },
    });
    this.connection.start();
  }

  /** Requests that have neither been answered nor cancelled. */
  get openCount(): number {
    return this.#open.size;
  }

  /** Id of the replica that it is registered at; undefined: none. */
  get replica(): string | undefined {
    return this.connection.state.name === 'active' ? this.replicas.at(-1) : undefined;
  }

  /** How often a request has come. */
  times(id: string): number {
    return this.received.filter((request) => request.id === id).length;
  }

  async registered(): Promise<string> {
    return waitFor(() => this.replica, { description: `the agent of ${this.account} to be registered` });
  }

  async has(id: string): Promise<void> {
    await waitFor(() => this.times(id) > 0, { description: `request ${id} to reach the agent` });
  }

  /** Answers those that were held. */
  release(): void {
    for (const answer of [...this.#held]) answer();
  }

  readonly #answer: AnswerRequest = (request, answer) => {
    const query = new URL(request.target, 'http://agent').searchParams;
    const id = query.get('id') ?? '';
    this.received.push({ id, method: request.method, connection: this.replicas.length });
    this.#open.add(answer);
    const end = (): void => void this.#open.delete(answer);
    if (isWatch(request)) return watch(id, answer, end);
    if (request.upgrade !== '') return echo(request, answer, end);
    let bytes = 0;
    let timer: NodeJS.Timeout | undefined;
    const finish = (): void => {
      this.#held.delete(finish);
      end();
      answer.respond({ status: 200, headers: json });
      answer.write(Buffer.from(JSON.stringify({ id, bytes, replica: this.replicas.at(-1) })));
      answer.end();
    };
    return {
      onData: (data) => {
        bytes += data.length;
        answer.consumed(data.length);
      },
      onEnd: () => {
        if (query.has('hold')) this.#held.add(finish);
        else if (this.#latencyMs > 0) timer = setTimeout(finish, this.#latencyMs);
        else finish();
      },
      onDrain: () => undefined,
      onCancelled: () => {
        clearTimeout(timer);
        this.#held.delete(finish);
        end();
      },
    };
  };
}

function watch(id: string, answer: TunnelAnswer, end: () => void): RequestEvents {
  let number = 0;
  let writable = true;
  answer.respond({ status: 200, headers: json });
  const timer = setInterval(() => {
    if (!writable) return;
    number += 1;
    const metadata = { name: id, resourceVersion: String(number) };
    const object = { kind: 'ConfigMap', apiVersion: 'v1', metadata, data: { padding: 'x'.repeat(500) } };
    writable = answer.write(Buffer.from(`${JSON.stringify({ type: 'MODIFIED', object })}\n`));
  }, eventMs);
  return {
    onData: (data) => answer.consumed(data.length),
    onEnd: () => undefined,
    onDrain: () => {
      writable = true;
    },
    onCancelled: () => {
      clearInterval(timer);
      end();
    },
  };
}

function echo({ upgrade }: TunnelledRequest, answer: TunnelAnswer, end: () => void): RequestEvents {
  answer.respond({ status: 101, headers: ['upgrade', upgrade] });
  let waiting = 0;
  return {
    onData: (data) => {
      if (answer.write(data)) answer.consumed(data.length);
      else waiting += data.length;
    },
    onEnd: () => {
      end();
      answer.end();
    },
    onDrain: () => {
      answer.consumed(waiting);
      waiting = 0;
    },
    onCancelled: end,
  };
}
