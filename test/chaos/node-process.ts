/** A Node.js process of a run, which can be killed, frozen and started again; the kernel ends it with the runner. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { HistoryWriter } from './history.js';
import { openDescriptors } from './open-descriptors.js';

export interface NodeProcessOptions {
  /** In the history. */
  readonly name: string;
  readonly history: HistoryWriter;
  /** Where its output goes, as `<name>.log`. */
  readonly directory: string;
  readonly args: readonly string[];
  /** Working directory. */
  readonly cwd: string;
  readonly onLine?: (line: string) => void;
}

export class NodeProcess {
  readonly #options: NodeProcessOptions;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #errors = '';
  #ended = false;
  #frozen = false;

  constructor(options: NodeProcessOptions) {
    this.#options = options;
    const { name, directory, args, cwd, history, onLine } = options;
    // A process group of its own keeps Ctrl-C in the terminal from it; pdeathsig ends it with the runner.
    this.#child = spawn('setpriv', ['--pdeathsig=KILL', '--', process.execPath, '--import=tsx', ...args], {
      cwd,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log = createWriteStream(join(directory, `${name}.log`), { flags: 'a' });
    this.#child.stderr?.on('data', (text: Buffer) => {
      this.#errors = (this.#errors + text.toString()).slice(-2_000);
      log.write(text);
    });
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on('line', (line) => {
        log.write(`${line}\n`);
        onLine?.(line);
      });
    }
    history.append({ type: 'started', process: name });
    this.#exited = once(this.#child, 'exit').then(() => {
      this.#end();
      log.end();
    });
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The end of what it wrote on standard error. */
  get errors(): string {
    return this.#errors;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** SIGKILL. Its life in the history ends before the signal, so that nothing is held against it that it cannot help. */
  async kill(): Promise<void> {
    if (!this.running) return;
    this.#end();
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** SIGTERM, and SIGKILL at the deadline. @returns its exit code */
  async terminate(timeoutMs: number): Promise<number | null> {
    if (!this.running) return this.exitCode;
    const force = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    this.#child.kill('SIGTERM');
    await this.#exited;
    clearTimeout(force);
    return this.exitCode;
  }

  /** SIGSTOP: its connections stay open, nothing answers. */
  freeze(): void {
    if (!this.running || this.#frozen) return;
    this.#frozen = true;
    this.#options.history.append({ type: 'frozen', process: this.#options.name });
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    if (!this.#frozen) return;
    this.#frozen = false;
    this.#child.kill('SIGCONT');
    this.#options.history.append({ type: 'thawed', process: this.#options.name });
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Open file descriptors by kind. @see openDescriptors */
  descriptors(ports: ReadonlyMap<number, string>): Promise<ReadonlyMap<string, number>> {
    return openDescriptors(this.#child.pid ?? 0, ports);
  }

  /** Resident memory, from /proc: statm counts pages of 4 KiB. */
  async residentBytes(): Promise<number> {
    const [, pages] = (await readFile(`/proc/${this.#child.pid ?? 0}/statm`, 'utf8')).split(' ');
    return Number(pages) * 4_096;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.history.append({ type: 'ended', process: this.#options.name });
  }
}
