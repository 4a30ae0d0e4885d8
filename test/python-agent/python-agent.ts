/** Runs the agent in Python (agent.py) as a process of its own, for tests. */

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { waitFor } from '../wait.js';

// Not whatever python3 comes first: the packages are Debian's.
const python = '/usr/bin/python3';
const proto = fileURLToPath(new URL('../../proto', import.meta.url));
const script = fileURLToPath(new URL('main.py', import.meta.url));

/** What the agent said: main.py has what there is. */
export type Event = Readonly<Record<string, unknown>>;

export interface PythonAgentOptions {
  readonly addresses: readonly string[];
  readonly identity: Readonly<Record<string, unknown>>;
  readonly accounts: readonly { readonly name: string; readonly namespaces?: readonly string[] }[];
  readonly token?: string;
  /** Of agent.py's Limits, in s. */
  readonly limits?: Readonly<Record<string, unknown>>;
}

/** Long enough for a slow machine: what is waited for comes, or the agent is wrong. */
const patienceMs = 60_000;

export class PythonAgent {
  readonly events: Event[] = [];
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #seen = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, 'exit');
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', (line) => this.events.push(JSON.parse(line) as Event));
  }

  /** Starts one, and kills it at the test's teardown. */
  static start(t: { teardown(release: () => Promise<void>): unknown }, options: PythonAgentOptions): PythonAgent {
    const generated = mkdtempSync(join(tmpdir(), 'agent-gateway-python-'));
    execFileSync('protoc', [
      `--proto_path=${proto}`,
      `--python_out=${generated}`,
      ...['ops/operations.proto', 'events/caching.proto'],
    ]);
    const limits = { backoff: [0.05, 0.2], refused_backoff: [30, 120], ...options.limits };
    const child = spawn(python, [script, JSON.stringify({ ...options, limits })], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { PYTHONDONTWRITEBYTECODE: '1', PYTHONPATH: generated },
    });
    const agent = new PythonAgent(child);
    t.teardown(async () => {
      await agent.kill();
      rmSync(generated, { recursive: true, force: true });
    });
    return agent;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** Has it do something (main.py: Driver.obey). */
  tell(command: Readonly<Record<string, unknown>>): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  all(part: Event): readonly Event[] {
    return this.events.filter((event) => isPart(part, event));
  }

  /** Waits for the next event that has all of `part`, after the one that was waited for last. */
  next(part: Event): Promise<Event> {
    return waitFor(
      () => {
        const index = this.events.findIndex((event, at) => at >= this.#seen && isPart(part, event));
        if (index === -1) return undefined;
        this.#seen = index + 1;
        return this.events[index];
      },
      { timeoutMs: patienceMs, description: `the agent to say ${JSON.stringify(part)}` },
    );
  }

  /** Waits until it has said so, now or before. */
  said(part: Event): Promise<Event> {
    return waitFor(() => this.all(part)[0], {
      timeoutMs: patienceMs,
      description: `the agent to have said ${JSON.stringify(part)}`,
    });
  }

  /** Lets it stop in order. */
  async stop(): Promise<number | null> {
    this.tell({ stop: true });
    await this.#exited;
    return this.exitCode;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}

function isPart(part: unknown, whole: unknown): boolean {
  if (typeof part !== 'object' || part === null) return part === whole;
  if (typeof whole !== 'object' || whole === null) return false;
  return Object.entries(part).every(([key, value]) => isPart(value, (whole as Event)[key]));
}
