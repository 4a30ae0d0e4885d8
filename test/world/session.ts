/**
 * One user's shell: kubectl and helm with a kubeconfig, a namespace and a home directory of their own. It keeps a transcript
 * of what they were asked and what they answered, without what differs between two runs of the same commands (times, ages,
 * unique names): the transcripts of a session through the gateway and of one at the API server itself are compared.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '../wait.js';

const commandTimeoutMs = 120_000;

export interface Outcome {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly stdin?: string | Uint8Array;
  /** Leaves standard input open after `stdin`. */
  readonly open?: boolean;
  /** Default true. */
  readonly recorded?: boolean;
  /** Whether it must fail; default false: it must succeed, so that not two failures are compared. */
  readonly fails?: boolean;
  readonly environment?: NodeJS.ProcessEnv;
}

/** A command that runs. */
export class Conversation {
  stdout = Buffer.alloc(0);
  stderr = '';
  readonly #child: ChildProcess;
  readonly #ended: Promise<Outcome>;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on('data', (data: Buffer) => (this.stdout = Buffer.concat([this.stdout, data])));
    child.stderr?.on('data', (data: Buffer) => (this.stderr += data.toString()));
    // A program that ends without reading it is no failure of its own.
    child.stdin?.on('error', () => undefined);
    this.#ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        resolve({ code, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  /** Waits until standard output has the text. */
  async said(text: string | RegExp): Promise<void> {
    const has = (): boolean =>
      typeof text === 'string' ? this.stdout.includes(text) : text.test(this.stdout.toString());
    try {
      await waitFor(() => has() || this.#child.exitCode !== null, { description: `"${String(text)}"` });
      if (!has()) throw new Error(`ended without "${String(text)}"`);
    } catch (error) {
      throw new Error(`${String(error)}\n${this.stdout.toString()}\n${this.stderr}`, { cause: error });
    }
  }

  write(data: string | Uint8Array): void {
    this.#child.stdin?.write(data);
  }

  closeInput(): void {
    this.#child.stdin?.end();
  }

  ended(): Promise<Outcome> {
    return this.#ended;
  }

  /** Ends it as Ctrl-C does. */
  interrupt(): Promise<Outcome> {
    this.#child.kill('SIGINT');
    return this.#ended;
  }
}

/** A kubeconfig file of one cluster and one user; JSON is YAML. */
export function kubeconfigOf(cluster: object, user: object, namespace: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'world',
    clusters: [{ name: 'world', cluster }],
    users: [{ name: 'world', user }],
    contexts: [{ name: 'world', context: { cluster: 'world', user: 'world', namespace } }],
  });
}

export class Session {
  readonly #transcript: string[] = [];
  readonly #running = new Set<ChildProcess>();

  private constructor(
    readonly programs: { readonly kubectl: string; readonly helm: string },
    /** For files; below it are the caches of kubectl and helm. */
    readonly directory: string,
    readonly namespace: string,
  ) {}

  static async open(parts: {
    readonly programs: Session['programs'];
    readonly directory: string;
    readonly namespace: string;
    /** Its one cluster, and its one user. */
    readonly cluster: object;
    readonly user: object;
  }): Promise<Session> {
    const { programs, directory, namespace, cluster, user } = parts;
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'kubeconfig'), kubeconfigOf(cluster, user, namespace));
    return new Session(programs, directory, namespace);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Writes a file of objects. */
  async file(name: string, ...items: readonly object[]): Promise<string> {
    await writeFile(this.path(name), JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    return this.path(name);
  }

  readonly kubectl = (...args: readonly string[]): Promise<Outcome> => this.run(args);

  /** For what is refused, and for differences. */
  readonly failing = (...args: readonly string[]): Promise<Outcome> => this.run(args, { fails: true });

  readonly helm = (...args: readonly string[]): Promise<Outcome> => this.run(args, {}, this.programs.helm);

  async run(
    args: readonly string[],
    options: CommandOptions = {},
    program: string = this.programs.kubectl,
  ): Promise<Outcome> {
    const outcome = await this.start(args, options, program).ended();
    if (options.recorded !== false) {
      this.note(`$ ${args.join(' ')}`);
      this.note(`${outcome.stdout.toString()}${outcome.stderr}=> ${String(outcome.code)}`);
    }
    if ((outcome.code !== 0) !== (options.fails ?? false)) {
      throw new Error(`${this.namespace}: ${args.join(' ')}: ${String(outcome.code)} ${outcome.stderr}`);
    }
    return outcome;
  }

  /** A command that is talked to; nothing of it gets into the transcript by itself. */
  start(
    args: readonly string[],
    { stdin = '', open = false, environment = {} }: CommandOptions = {},
    program: string = this.programs.kubectl,
  ): Conversation {
    const child = spawn(program, args, {
      cwd: this.directory,
      env: { PATH: process.env['PATH'], HOME: this.directory, KUBECONFIG: this.path('kubeconfig'), ...environment },
      timeout: commandTimeoutMs,
    });
    this.#running.add(child);
    child.once('close', () => this.#running.delete(child));
    const conversation = new Conversation(child);
    if (stdin.length > 0) conversation.write(stdin);
    if (!open) conversation.closeInput();
    return conversation;
  }

  /** kubectl on a terminal (script(1)), as a person has it. */
  onTerminal(args: readonly string[], options: CommandOptions = {}): Conversation {
    const quoted = [this.programs.kubectl, ...args].map((one) => `'${one.replaceAll("'", `'\\''`)}'`).join(' ');
    return this.start(['--quiet', '--return', '--command', quoted, '/dev/null'], options, 'script');
  }

  note(text: string): void {
    this.#transcript.push(this.normal(text));
  }

  /** What was noted since the last call. */
  transcript(): string {
    return this.#transcript.splice(0).join('\n');
  }

  /** Text without what no two runs have in common. */
  normal(text: string): string {
    return (
      text
        .replaceAll('\r', '')
        // How many of these are seen is chance.
        .replace(/^Waiting for .*\n/gmu, '')
        .replace(/\/tmp\/(LIVE|MERGED)-\d+/gu, 'TEMPORARY')
        .replaceAll(this.directory, 'DIRECTORY')
        .replaceAll(this.namespace, 'NAMESPACE')
        .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/gu, 'UID')
        .replace(/"?resourceVersion"?: ?"\d+"/gu, 'resourceVersion: N')
        .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|[+-]\d{4} \w+|[+-]\d\d:\d\d))?/gu, 'TIME')
        .replace(/\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}/gu, 'TIME')
        .replace(/\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}/gu, 'TIME')
        .replace(/-[bcdfghjklmnpqrstvwxz2456789]{5}\b/gu, '-RANDOM')
        .replace(/\b10\.96\.\d+\.\d+\b/gu, 'ADDRESS')
        .replace(/\bfd00:96::[0-9a-f]+\b/gu, 'ADDRESS')
        .replace(/\b(\d+(\.\d+)?(ms|µs|[dhms]))+\b/gu, 'AGE')
        .replace(/\/dev\/pts\/\d+/gu, 'TERMINAL')
        .replace(/(\S) {2,}/gu, '$1  ')
    );
  }

  /** Ends what still runs. */
  close(): void {
    for (const child of this.#running) child.kill('SIGKILL');
  }
}
