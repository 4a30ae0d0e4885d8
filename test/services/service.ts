/**
 * A server process that belongs to a test: started on a free port in a data directory of its own, ready when it answers,
 * gone with its directory at stop(), and killed by the kernel should the test process die in any way.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { chown, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port.js';
import { waitFor } from '../wait.js';
import { progress } from './progress.js';

export interface ServiceOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** More command line arguments for the server. */
  readonly args?: readonly string[];
  /** Deadline for becoming ready, and for stopping, in ms; default 30000. */
  readonly timeoutMs?: number;
}

/** How one kind of server is made, started and asked. */
export interface ServiceKind {
  readonly name: string;
  /** Directory of a user id to run as, when this process is root; default: this process's own. */
  readonly runAs?: { readonly uid: number; readonly gid: number };
  /** Command that fills the empty data directory, if one is needed. */
  readonly initialize?: (directory: string) => readonly string[];
  readonly command: (directory: string, port: number) => readonly string[];
  /** Signal for an orderly stop. */
  readonly stopSignal: NodeJS.Signals;
  /** Asks the server something; throws while it is not ready. */
  readonly probe: (port: number) => Promise<void>;
  readonly url: (port: number) => string;
}

export class Service {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly url: string;
  readonly #kind: ServiceKind;
  readonly #directory: string;
  readonly #args: readonly string[];
  readonly #timeoutMs: number;
  #child: ChildProcess | undefined;
  readonly #killAtExit = (): void => {
    this.#signal('SIGKILL');
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  };

  private constructor(kind: ServiceKind, directory: string, port: number, options: ServiceOptions) {
    this.#kind = kind;
    this.#directory = directory;
    this.#args = options.args ?? [];
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.port = port;
    this.url = kind.url(port);
  }

  /** @throws Error with the end of the server's log when it does not become ready in time */
  static async start(kind: ServiceKind, options: ServiceOptions): Promise<Service> {
    const directory = await mkdtemp(join(tmpdir(), `agent-gateway-${kind.name}-`));
    const service = new Service(kind, directory, options.port ?? (await freePort()), options);
    process.once('exit', service.#killAtExit);
    try {
      if (kind.runAs !== undefined) await chown(directory, kind.runAs.uid, kind.runAs.gid);
      const initialize = kind.initialize?.(service.#data);
      await progress(`starting ${kind.name}`, async () => {
        if (initialize !== undefined) await service.#initialize(initialize);
        await service.#start();
      });
    } catch (error) {
      await service.stop();
      throw error;
    }
    return service;
  }

  /** The process id while it runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Ends the server in order (after the deadline by force) and removes its data. May be called again. */
  async stop(): Promise<void> {
    this.resume();
    await this.#end(this.#kind.stopSignal);
    process.removeListener('exit', this.#killAtExit);
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Ends the server and all its processes at once with SIGKILL; the data stays, for restart(). */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Starts the server again on the same port and data, ending it first if it still runs; returns when it is ready. */
  async restart(): Promise<void> {
    this.resume();
    await this.#end(this.#kind.stopSignal);
    await this.#start();
  }

  /** Freezes all its processes (SIGSTOP): connections stay open, nothing answers. */
  pause(): void {
    this.#signal('SIGSTOP');
  }

  /** Ends pause(). */
  resume(): void {
    this.#signal('SIGCONT');
  }

  /** Lets this process end while the server runs; the server is killed then. */
  unref(): void {
    this.#child?.unref();
  }

  get #data(): string {
    return join(this.#directory, 'data');
  }

  async #initialize(command: readonly string[]): Promise<void> {
    const child = await this.#spawn(command);
    // So that stop() ends it, should it take too long.
    this.#child = child;
    const [code] = (await once(child, 'exit', { signal: AbortSignal.timeout(this.#timeoutMs) })) as [number | null];
    if (code !== 0) throw new Error(`${command.join(' ')} ended with code ${String(code)}\n${await this.#logEnd()}`);
  }

  async #start(): Promise<void> {
    const child = await this.#spawn([...this.#kind.command(this.#data, this.port), ...this.#args]);
    this.#child = child;
    const description = `${this.#kind.name} to answer on port ${this.port}`;
    const answered = async (): Promise<boolean> => {
      if (hasEnded(child)) return true;
      await this.#kind.probe(this.port);
      return true;
    };
    try {
      await waitFor(answered, { timeoutMs: this.#timeoutMs, intervalMs: 25, description });
    } catch (error) {
      throw new Error(`${String(error)}\n${await this.#logEnd()}`, { cause: error });
    }
    if (hasEnded(child)) throw new Error(`${this.#kind.name} ended before it was ready\n${await this.#logEnd()}`);
  }

  async #spawn(command: readonly string[]): Promise<ChildProcess> {
    const { runAs } = this.#kind;
    const identity = runAs === undefined ? [] : [`--reuid=${runAs.uid}`, `--regid=${runAs.gid}`, '--clear-groups'];
    // pdeathsig: the kernel ends the server when this process dies, even by SIGKILL.
    const options = [...identity, '--pdeathsig=KILL', '--', ...command];
    const log = await open(join(this.#directory, 'log'), 'a');
    try {
      // A process group of its own keeps Ctrl-C in the terminal from reaching the server before its users are done.
      const child = spawn('setpriv', options, {
        cwd: this.#directory,
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
      });
      await once(child, 'spawn');
      return child;
    } finally {
      await log.close();
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || hasEnded(child)) return;
    const exited = once(child, 'exit');
    child.ref();
    const force = setTimeout(() => {
      this.#signal('SIGKILL');
    }, this.#timeoutMs);
    if (signal === 'SIGKILL') this.#signal(signal);
    else child.kill(signal);
    await exited;
    clearTimeout(force);
  }

  #signal(signal: NodeJS.Signals): void {
    const child = this.#child;
    if (child?.pid === undefined || hasEnded(child)) return;
    // The parent first, so that it cannot fork anew; PostgreSQL's children lead process groups of their own.
    const children = childrenOf(child.pid);
    child.kill(signal);
    for (const pid of [...children, ...childrenOf(child.pid)]) {
      try {
        process.kill(pid, signal);
      } catch {
        // It has ended by itself.
      }
    }
  }

  async #logEnd(): Promise<string> {
    const log = await readFile(join(this.#directory, 'log'), 'utf8');
    return log.split('\n').slice(-20).join('\n');
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** proc(5): /proc/PID/task/TID/children. */
function childrenOf(pid: number): number[] {
  try {
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return list === '' ? [] : list.split(' ').map(Number);
  } catch {
    return [];
  }
}
