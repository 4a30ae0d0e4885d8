/** The process: arguments, streams, signals, exit code. The commands are in src/commands/table.ts. */

import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { runCommand } from './commands/run.js';
import { GatewayError, messageOf } from './core/errors.js';

type Signal = 'SIGINT' | 'SIGTERM' | 'SIGPIPE';

const { stdin, stdout, stderr } = process;
let stoppedBy: Signal | undefined;
const stopping = new AbortController();

/** The first signal stops the command; the second one ends the process at once. */
function stop(signal: Signal): void {
  if (stoppedBy !== undefined) process.exit(exitCodeOf(stoppedBy));
  stoppedBy = signal;
  stopping.abort(new GatewayError('cancelled', `stopped by ${signal}`));
}

/** As shells say it of a process that a signal has ended. */
function exitCodeOf(signal: Signal): number {
  return 128 + constants.signals[signal];
}

/**
 * Nobody reads any more (`| head`). Node.js ignores the signal that ends other programs then; the error that it gives
 * instead stops the command as the signal would: at once and without a word, but for servers, which drain.
 */
function onWriteError(this: unknown, error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') {
    if (stoppedBy === undefined) stop('SIGPIPE');
    return;
  }
  if (this !== stderr) stderr.write(`agent-gateway: cannot write to standard output: ${error.message}\n`);
  process.exit(1);
}

process.on('SIGTERM', stop);
process.on('SIGINT', stop);
stdout.on('error', onWriteError);
stderr.on('error', onWriteError);
// The pipe may be found closed after the command has ended.
process.on('exit', () => {
  if (stoppedBy === 'SIGPIPE') process.exitCode = exitCodeOf(stoppedBy);
});

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  return manifest.version;
}

function end(code: number): void {
  process.exitCode = code;
  // Resources that a library left open must not keep a stopped process alive.
  setTimeout(() => process.exit(), 1_000).unref();
}

const { signal } = stopping;
const io = { stdin, stdout, stderr, environment: process.env, signal, version: version() };
runCommand(process.argv.slice(2), io).then(end, (error: unknown) => {
  if (stoppedBy !== undefined) {
    end(exitCodeOf(stoppedBy));
    return;
  }
  stderr.write(`agent-gateway: ${messageOf(error)}\n`);
  process.exit(error instanceof GatewayError && error.code === 'configuration' ? 2 : 1);
});
