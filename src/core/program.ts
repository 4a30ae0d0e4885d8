/**
 * Runs an external program (a credential plugin, a token command) that may hang, print without end, leave children
 * behind or want a terminal. It gets no terminal: it runs in its own session, and is ended together with everything
 * that it started.
 */

import { spawn } from 'node:child_process';
import type { Environment } from './environment.js';
import { TellableError } from './errors.js';

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** All of it; nothing is added. */
  readonly environment: Environment;
  /** Standard output beyond this fails. */
  readonly maximumBytes?: number;
}

/** A program that failed; the message never includes its output, which may be half a secret. */
export class ProgramError extends TellableError {
  override readonly name = 'ProgramError';

  /** @param missing there is no such program, or it cannot be executed */
  constructor(
    message: string,
    readonly missing = false,
  ) {
    super(message);
  }
}

/** Children that it left behind may keep its output open; the program's own output has arrived by then. */
const lateOutputMs = 1_000;

/**
 * @returns its standard output
 * @throws ProgramError when it cannot be started, fails or prints too much; the signal's reason
 */
export async function runProgram(program: Program, signal: AbortSignal): Promise<Buffer> {
  const { command, args, environment, maximumBytes = 1024 * 1024 } = program;
  signal.throwIfAborted();
  const child = start(command, args, environment);
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
      child.once('error', (error) => reject(notStarted(command, error, true)));
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

function start(command: string, args: readonly string[], env: Environment) {
  try {
    // Detached: it has its own process group, which can be ended as one, and no terminal to wait for.
    return spawn(command, args, { detached: true, env, stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    // Too long, or with a zero byte: Node.js would quote what may be a secret.
    throw notStarted(command, error as NodeJS.ErrnoException, false);
  }
}

function notStarted(command: string, { code = 'unknown' }: NodeJS.ErrnoException, missing: boolean): ProgramError {
  return new ProgramError(`"${command}" cannot be started (${code})`, missing);
}
