/** Runs one test file in a process of its own and reads its TAP. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Parser, type Result } from 'tap-parser';

export interface FileResult {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  /** Skipped and todo. */
  readonly skipped: number;
  readonly durationMs: number;
  /** Failures with place and difference, then what the file printed beside its TAP; empty when nothing failed. */
  readonly details: string;
}

export interface FileOptions {
  /** After this, in ms, tap fails the test that runs, and the process ends. */
  readonly timeoutMs: number;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  /** The Node.js that runs it; default: this one. */
  readonly node?: string;
}

/** How long tap has, after the time limit, to say what was running, before its process is killed, in ms. */
const graceMs = 5_000;
const maximumOutput = 64 * 1024;

/**
 * Every assertion counts once; a test, or the file, counts by itself only where no assertion shows its result: it made
 * none, crashed, ran out of time or broke its plan. A file that runs no test has failed.
 */
export async function runTestFile(file: string, options: FileOptions): Promise<FileResult> {
  const started = performance.now();
  const child = spawn(options.node ?? process.execPath, ['--import=tsx', '--enable-source-maps', file], {
    // A process group of its own, so that what the file leaves running can be ended with it.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...options.env, TAP_TIMEOUT: String(options.timeoutMs / 1000) },
  });
  const killer = setTimeout(() => {
    killGroup(child);
  }, options.timeoutMs + graceMs);
  const abort = (): void => {
    killGroup(child);
  };
  options.signal.addEventListener('abort', abort, { once: true });

  let [passed, failed, skipped] = [0, 0, 0];
  const failures: string[] = [];
  let output = '';
  const keep = (text: string): void => {
    output = (output + text).slice(-maximumOutput);
  };
  child.stderr.setEncoding('utf8').on('data', keep);
  const parser = new Parser();
  parser.on('pass', () => (passed += 1));
  parser.on('skip', () => (skipped += 1));
  parser.on('todo', () => (skipped += 1));
  parser.on('extra', keep);
  parser.on('fail', (result: Result) => {
    failed += 1;
    failures.push(failureText(result));
  });
  child.stdout.pipe(parser);
  const complete = once(parser, 'complete');
  const [code, killedBy] = (await once(child, 'exit')) as [number | null, string | null];
  // Ends what the file left running, which also closes the pipes that it may hold.
  killGroup(child);
  await complete;
  clearTimeout(killer);
  options.signal.removeEventListener('abort', abort);

  const problem = problemOf(code, killedBy, passed + failed + skipped);
  if (failed === 0 && problem !== undefined) {
    failed = 1;
    failures.push(`  FAILED ${problem}\n`);
  }
  if (failed > 0 && output !== '') failures.push(`  OUTPUT\n${indent(output)}\n`);
  const details = failed > 0 ? failures.join('\n') : '';
  return { file, passed, failed, skipped, durationMs: performance.now() - started, details };
}

function problemOf(code: number | null, signal: string | null, results: number): string | undefined {
  if (signal !== null) return `the process was ended by ${signal}`;
  if (code !== 0) return `the process ended with code ${String(code)}`;
  if (results === 0) return 'the file ran no test';
  return undefined;
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Nothing of it is left.
  }
}

function failureText(result: Result): string {
  const { at, diff, source, stack, ...rest } = (result.diag ?? {}) as Record<string, unknown>;
  const lines = [`  FAILED ${result.fullname}`];
  if (isPlace(at)) lines.push(indent(`at ${at.fileName}:${at.lineNumber}:${at.columnNumber}`));
  for (const text of [diff, source, stack]) if (typeof text === 'string') lines.push(indent(text.trimEnd()));
  for (const [key, value] of Object.entries(rest)) {
    lines.push(indent(`${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`));
  }
  return `${lines.join('\n')}\n`;
}

function isPlace(at: unknown): at is { fileName: string; lineNumber: number; columnNumber: number } {
  return typeof at === 'object' && at !== null && 'fileName' in at && 'lineNumber' in at && 'columnNumber' in at;
}

function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, '    ');
}
