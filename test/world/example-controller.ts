/** The controller of test/kubernetes/controller as a process, and what it said. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { waitFor } from '../wait.js';
import type { ObjectEvent } from './followed.js';

export interface Said {
  readonly kind: 'add' | 'update' | 'delete' | 'leading' | 'following' | 'wrote' | 'unknown' | 'resting' | 'store';
  readonly name?: string;
  /** resourceVersion. */
  readonly version?: string;
  /** Number of a write of this process. */
  readonly write?: number;
  /** Unix time in ms. */
  readonly time: number;
  readonly error?: string;
  /** Versions by name, at the end. */
  readonly store?: Readonly<Record<string, string>>;
}

export class ExampleController {
  readonly said: Said[] = [];
  errors = '';
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.on('data', (data: Buffer) => (this.errors += data.toString()));
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on('line', (line) => this.said.push(JSON.parse(line) as Said));
    }
  }

  static start(t: Test, program: string, kubeconfig: string, namespace: string, identity: string): ExampleController {
    const child = spawn(program, [kubeconfig, namespace, identity], { stdio: ['ignore', 'pipe', 'pipe'] });
    t.teardown(() => child.kill('SIGKILL'));
    return new ExampleController(child);
  }

  get events(): ObjectEvent[] {
    return this.of('add', 'update', 'delete').map(({ kind, name = '', version = '' }) => ({
      ...{ kind, name },
      version: Number(version),
    }));
  }

  of(...kinds: readonly Said['kind'][]): Said[] {
    return this.said.filter(({ kind }) => kinds.includes(kind));
  }

  /** Has it lead and write no more; it goes on following. */
  async rest(): Promise<void> {
    this.#child.kill('SIGINT');
    await waitFor(() => this.of('resting').length > 0, { description: `the controller to rest: ${this.errors}` });
  }

  /** Ends it in order: its last word is its store. */
  async end(): Promise<void> {
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGTERM');
    await closed;
  }
}
