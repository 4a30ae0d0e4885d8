/** A command line of `agent-gateway` in this process, with streams of the test's own. */

import { Readable } from 'node:stream';
import { runCommand } from '../../src/commands/run.js';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly stdin?: string;
  /** Whether standard error is a terminal. */
  readonly isTTY?: boolean;
}

/** `code` is 130 where the command ended because it was stopped, as main.ts has it. */
export function startCommand(argv: readonly string[], options: RunOptions = {}) {
  const { environment = {}, stdin = '', isTTY = false } = options;
  const controller = new AbortController();
  const { signal } = controller;
  const texts = { out: '', err: '' };
  const code = runCommand(argv, {
    ...{ environment, signal, version: '1.2.3', stdin: Readable.from([stdin]) },
    stdout: { write: (text) => (texts.out += text) },
    stderr: { write: (text) => (texts.err += text), isTTY },
  }).catch((error: unknown) => {
    if (error !== signal.reason) throw error;
    return 130;
  });
  return { texts, code, stop: () => controller.abort(new Error('stopped')) };
}

export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { texts, code } = startCommand(argv, options);
  return { code: await code, ...texts };
}
