/** A replica of the gateway as a process of its own, for tests. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '../free-port.js';
import { waitFor } from '../wait.js';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface ReplicaOptions {
  readonly id: string;
  /** Configuration keys and their values. */
  readonly settings: Readonly<Record<string, string | number>>;
  readonly agentsPort?: number;
  readonly restPort?: number;
  /** Of Node.js itself: `--import=...`. */
  readonly nodeArguments?: readonly string[];
}

/** A line of its log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string; readonly level: string };

export class Replica {
  readonly id: string;
  readonly restUrl: string;
  readonly agentsAddress: string;
  readonly log: LogLine[] = [];
  /** What it wrote on standard error. */
  errors = '';
  readonly #child: ChildProcess;

  private constructor(id: string, child: ChildProcess, agentsPort: number, restPort: number) {
    this.id = id;
    this.#child = child;
    this.restUrl = `http://127.0.0.1:${String(restPort)}`;
    this.agentsAddress = `127.0.0.1:${String(agentsPort)}`;
    child.stderr?.on('data', (text: Buffer) => (this.errors += text.toString()));
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line.startsWith('{')) this.log.push(JSON.parse(line) as LogLine);
      });
    }
  }

  /** Starts the process; ready() waits until it serves. */
  static async spawn({ id, settings, agentsPort, restPort, nodeArguments = [] }: ReplicaOptions): Promise<Replica> {
    const [agents, rest] = [agentsPort ?? (await freePort()), restPort ?? (await freePort())];
    const all = {
      'instance.id': id,
      'instance.baseUrl': `http://127.0.0.1:${String(rest)}`,
      'server.address': '127.0.0.1',
      'server.port': rest,
      'kubesvc.grpc.server.address': '127.0.0.1',
      'kubesvc.grpc.server.port': agents,
      'kubesvc.drain.endpointRemovalMs': 0,
      'logging.format': 'json',
      ...settings,
    };
    const flags = Object.entries(all).map(([key, value]) => `--${key}=${String(value)}`);
    const child = spawn(process.execPath, [...nodeArguments, '--import=tsx', main, 'serve', ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Replica(id, child, agents, rest);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  async ready(): Promise<this> {
    await waitFor(
      async () => {
        if (this.#child.exitCode !== null) return true;
        return (await fetch(`${this.restUrl}/readyz`, { signal: AbortSignal.timeout(10_000) })).ok;
      },
      { timeoutMs: 120_000, intervalMs: 50, description: `replica ${this.id} to be ready: ${this.errors}` },
    );
    if (this.#child.exitCode !== null)
      throw new Error(`replica ${this.id} exited with ${String(this.#child.exitCode)}: ${this.errors}`);
    return this;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Sends a signal and waits for the end. */
  async end(name: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit');
      this.#child.kill(name);
      await exited;
    }
    return this.#child.exitCode;
  }

  async get(path: string): Promise<unknown> {
    const response = await fetch(this.restUrl + path, { signal: AbortSignal.timeout(120_000) });
    const body: unknown = await response.json();
    if (!response.ok) throw new Error(`${this.id} ${path}: ${String(response.status)} ${JSON.stringify(body)}`);
    return body;
  }

  /** Posts an operation and, unless told otherwise, waits for its result. */
  async operate(operation: unknown, prefer: string | null = 'wait=60'): Promise<OperationAnswer> {
    const response = await fetch(`${this.restUrl}/armory/agent/operations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(prefer === null ? {} : { prefer }) },
      body: JSON.stringify({ operation }),
      signal: AbortSignal.timeout(120_000),
    });
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as OperationAnswer['body'],
    };
  }
}

export interface OperationAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly operation?: { readonly id: string } | string;
    readonly result?: { readonly status: number; readonly [field: string]: unknown } | string;
    readonly detail?: string;
    readonly type?: string;
  };
}
