/**
 * Runs a program of somebody else (a credential plugin, a token command) that may hang, print without end, leave children
 * behind or want a terminal. It has none: it runs in a session of its own, and ends with everything that it started.
 */

import { spawn } from 'node:child_process';
import type { Environment } from './environment.js';

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** All of it; nothing is added. */
  readonly environment: Environment;
  /** Standard output beyond this fails. */
  readonly maximumBytes?: number;
}

/** A program that did not do what it should; says nothing of what it printed, which may be half a secret. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError';

  /** @param missing there is no such program, or it cannot be executed */
  constructor(
    message: string,
    readonly missing = false,
  ) {
    super(message);
  }
}

/** Children that it left behind may hold its output open; what it printed itself is there by then. */
const lateOutputMs = 1_000;

/**
 * @returns its standard output
 * @throws ProgramError when it cannot be started, fails or prints too much; the signal's reason
 */
export async function runProgram(program: Program, signal: AbortSignal): Promise<Buffer> {
  const { command, args, environment, maximumBytes = 1024 * 1024 } = program;
  signal.throwIfAborted();
  // Detached: a process group of its own, which can be ended as one, and no terminal to wait at.
  const child = spawn(command, args, { detached: true, env: environment, stdio: ['ignore', 'pipe', 'ignore'] });
  const end = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It is gone.
    }
  };
  const chunks: Buffer[] = [];
  let bytes = 0;
  let late: NodeJS.Timeout | undefined;
  let onAbort = end;
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      onAbort = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
      child.stdout.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > maximumBytes)
          reject(new ProgramError(`"${command}" printed more than ${String(maximumBytes)} bytes`));
      });
      child.stdout.on('error', () => undefined);
      child.once('error', (error: NodeJS.ErrnoException) => {
        reject(new ProgramError(`"${command}" cannot be started (${error.code ?? 'unknown'})`, true));
      });
      child.once('exit', (code, killedBy) => {
        if (code !== 0)
          reject(
            new ProgramError(
              `"${command}" ended with ${code === null ? `signal ${killedBy ?? ''}` : `code ${String(code)}`}`,
            ),
          );
        else late = setTimeout(() => resolve(Buffer.concat(chunks)), lateOutputMs);
      });
      child.once('close', (code) => {
        if (code === 0) resolve(Buffer.concat(chunks));
      });
    });
  } catch (error) {
    end();
    throw error;
  } finally {
    clearTimeout(late);
    signal.removeEventListener('abort', onAbort);
    child.stdout.destroy();
    child.unref();
  }
}
