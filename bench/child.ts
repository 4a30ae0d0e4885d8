/** Processes of the bench: the servers that are measured, and the workers that load them. Both answer calls over IPC. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export interface ChildOptions {
  /** Options of node, before the script. */
  readonly execArgv?: readonly string[];
  readonly args?: readonly string[];
  /** The program node; default: that of this process. */
  readonly node?: string;
  /** A call that is not answered within this time fails, in ms; default 60000. */
  readonly callTimeoutMs?: number;
}

const stopTimeoutMs = 10_000;

export class Child {
  readonly #process;
  readonly #name: string;
  readonly #callTimeoutMs: number;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;
  #stopping = false;

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Starts `node SCRIPT` (a path in the project); its output is this process's error output. */
  constructor(
    script: string,
    { execArgv = [], args = [], node = process.execPath, callTimeoutMs = 60_000 }: ChildOptions = {},
  ) {
    this.#name = script;
    this.#callTimeoutMs = callTimeoutMs;
    this.#process = fork(resolve(script), args, {
      execPath: node,
      execArgv: [...execArgv],
      stdio: ['ignore', 2, 2, 'ipc'],
    });
    this.#process.on('message', (reply: Reply) => {
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if (reply.error === undefined) waiting?.resolve(reply.value);
      else waiting?.reject(new Error(`${script}: ${reply.error}`));
    });
    this.#process.once('exit', (code, signal) => {
      const error = new Error(`${script} ended (${String(code ?? signal)})`);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** @throws Error when the process answers with one, ends, or does not answer in time */
  async call<Value>(method: string, argument?: unknown): Promise<Value> {
    if (!this.running) throw new Error(`${this.#name} has ended`);
    const id = (this.#calls += 1);
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    const timer = setTimeout(() => {
      this.#waiting.get(id)?.reject(new Error(`${this.#name}: no answer to ${method} in ${this.#callTimeoutMs} ms`));
    }, this.#callTimeoutMs);
    this.#process.send({ id, method, argument });
    try {
      return (await answer) as Value;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    if (!this.running) return;
    this.#stopping = true;
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }

  /** SIGTERM, and SIGKILL for what is still there later. */
  async stop(): Promise<void> {
    if (!this.running || this.#stopping) return;
    this.#stopping = true;
    const force = setTimeout(() => this.#process.kill('SIGKILL'), stopTimeoutMs);
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await exited;
    clearTimeout(force);
  }
}

/** The other end, in a worker: answers calls until the bench is gone. */
export function answerCalls(methods: Readonly<Record<string, (argument: never) => unknown>>): void {
  process.on('message', ({ id, method, argument }: { id: number; method: string; argument: never }) => {
    void Promise.resolve()
      .then(() => methods[method]?.(argument))
      .then(
        (value) => process.send?.({ id, value }),
        (error: unknown) => process.send?.({ id, error: String(error) }),
      );
  });
  process.on('disconnect', () => process.exit(1));
}
