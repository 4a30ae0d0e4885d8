/** `agent-gateway ops|agents|accounts|instances|completion`: the REST API from a terminal. */

import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { messageOf } from '../core/errors.js';
import { accounts, agents, instances } from '../client/cluster-commands.js';
import { readCredentials } from '../client/credentials.js';
import { completion } from '../client/completion.js';
import { helpText, shells } from '../client/command-table.js';
import { ClientError, exitCodes, usageError, type ExitCode } from '../client/exit-code.js';
import { operationBody } from '../client/operation-body.js';
import * as operations from '../client/operation-commands.js';
import type { OutputForm } from '../client/output.js';
import { parseCommand, type ParsedCommand } from '../client/parse-command.js';
import { createRestClient } from '../client/rest-client.js';

export interface ClientIo {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  readonly environment: NodeJS.ProcessEnv;
  /** Ends the command. */
  readonly signal: AbortSignal;
}

const defaultRest = 'http://127.0.0.1:7002';
const maxSeconds = 3_600;
/** Beside the time that the gateway is asked to wait, in ms. */
const answerMs = 30_000;

/** @returns the exit code, see client/exit-code.ts */
export async function runClient(argv: readonly string[], io: ClientIo): Promise<number> {
  try {
    const parsed = parseCommand(argv);
    if (!parsed.help) return await run(parsed, io);
    io.stdout.write(helpText(parsed.command));
    return exitCodes.done;
  } catch (error) {
    if (io.signal.aborted) return exitCodes.done;
    if (!(error instanceof ClientError)) throw error;
    io.stderr.write(`agent-gateway: ${error.message}\n`);
    if (error.exitCode === exitCodes.usage) io.stderr.write(`Try: agent-gateway ${commandOf(argv)} --help\n`);
    return error.exitCode;
  }
}

async function run({ command, words, text, number }: ParsedCommand, io: ClientIo): Promise<ExitCode> {
  const [word] = words;
  const form = (text('output') ?? 'table') as OutputForm;
  const wait = number('wait', 0, maxSeconds);
  const print = (written: string): ExitCode => {
    io.stdout.write(written);
    return exitCodes.done;
  };
  const printed = ({ text: written, exitCode }: operations.Printed): ExitCode => {
    io.stdout.write(written);
    return exitCode;
  };
  if (command.name === 'completion') return print(completion(shellOf(word)));
  const client = createRestClient({
    baseUrl: baseUrlOf(text('rest') ?? io.environment['AGENT_GATEWAY_REST'] ?? defaultRest),
    signal: io.signal,
    credentials: readCredentials(text, io.environment),
    timeoutMs: (wait ?? 30) * 1_000 + answerMs,
  });
  switch (command.name) {
    case 'agents':
      return print(await agents(client, form, word));
    case 'accounts':
      return print(await accounts(client, form, word));
    case 'instances':
      return print(await instances(client, form, word));
    case 'ops get':
      return print(await operations.get(client, form, word ?? ''));
    case 'ops list': {
      const numbers = { items: number('items', 1, 500)?.toString(), page: number('page', 0, 10_000)?.toString() };
      const texts = { account: text('account'), outcome: text('outcome'), since: text('since'), until: text('until') };
      return print(await operations.list(client, form, { ...texts, ...numbers }, Date.now()));
    }
    case 'ops watch':
      if (word !== undefined) return printed(await operations.watchOne(client, form, word, wait ?? 300, io.signal));
      await operations.watchAll(client, form, text('account'), print, io.signal);
      return exitCodes.done;
    default: {
      const timeout = number('timeout', 1, maxSeconds);
      const flags = {
        ...{ account: text('account'), namespace: text('namespace'), selector: text('selector') },
        ...{ container: text('container'), id: text('id') },
        ...{ replicas: number('replicas', 0, 2 ** 31 - 1), tail: number('tail', 1, 2 ** 31 - 1) },
        timeoutMs: timeout === undefined ? undefined : timeout * 1_000,
      };
      const body = operationBody(words, flags, await readInput(text('file'), io.stdin));
      return printed(await operations.send(client, form, body, wait ?? 30));
    }
  }
}

async function readInput(file: string | undefined, stdin: NodeJS.ReadableStream): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await (file === '-' ? readAll(stdin) : readFile(file, 'utf8'));
  } catch (error) {
    throw usageError(`--file: ${messageOf(error)}`);
  }
}

function baseUrlOf(text: string): string {
  try {
    const url = new URL(text);
    if (url.protocol === 'http:' || url.protocol === 'https:') return url.origin;
  } catch {
    // Said below.
  }
  throw usageError(`--rest must be a URL such as ${defaultRest}, not "${text}"`);
}

function shellOf(word: string | undefined): (typeof shells)[number] {
  const shell = shells.find((one) => one === word);
  if (shell === undefined) throw usageError(`SHELL must be one of ${shells.join(', ')}, not "${word ?? ''}"`);
  return shell;
}

function commandOf([first = '', second = '']: readonly string[]): string {
  return first === 'ops' && /^[a-z]+$/u.test(second) ? `${first} ${second}` : first;
}
