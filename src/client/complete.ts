/** Possible continuations of an unfinished command line, for the completion scripts of all shells. */

import { startsWith, type Command, type CommandIo } from '../command-line/command.js';
import type { Completes, Flag } from '../command-line/flags.js';
import { nextWords, tokensOf, type Token } from '../command-line/parse.js';
import { withDeadline } from '../core/deadline.js';
import { bashWords, filesMark } from './completion.js';
import { gatewayFlags, type GatewayFlags } from './flags.js';
import { openSession } from './session.js';

/** Short, because a person waits for the completion. */
const deadlineMs = 1_000;

/** Names end up on a command line, so they must not contain anything special to a shell. */
const harmless = /^[\w.:@%+,/-]+$/u;

/**
 * The output for a completion script.
 * @param asking the shell, then the words of its line; of bash only what it replaces, the line being in the environment
 */
export async function completionAnswer(
  commands: readonly Command[],
  [shell, ...words]: readonly string[],
  io: CommandIo,
): Promise<string> {
  const lines = (found: readonly string[]) => found.map((word) => `${word}\n`).join('');
  if (shell !== 'bash') return lines(await complete(commands, words, io));
  const line = bashWords(io.environment);
  const kept = (line.at(-1) ?? '').length - (words[0] ?? '').length;
  const found = (await complete(commands, line, io)).filter((word) => !word.endsWith(filesMark));
  return lines(found.map((word) => word.slice(Math.max(0, kept))));
}

/**
 * @param words of the line up to the cursor; the last one is to be completed
 * @returns whole words that begin with the last one, and the mark of files
 */
async function complete(
  commands: readonly Command[],
  words: readonly string[],
  io: CommandIo,
): Promise<readonly string[]> {
  const current = words.at(-1) ?? '';
  const tokens = tokensOf(commands, words.slice(0, -1));
  const typed = tokens.flatMap((token) => ('word' in token ? [token.word] : []));
  const offered = await offers(commands, typed, tokens, current, io);
  return [...new Set(offered)].filter((one) => one === filesMark || one.startsWith(current)).toSorted();
}

async function offers(
  commands: readonly Command[],
  typed: readonly string[],
  tokens: readonly Token[],
  current: string,
  io: CommandIo,
): Promise<readonly string[]> {
  if (typed[0] === 'help') return nextWords(commands, typed.slice(1).join(' '));
  const meant = longestNamed(commands, typed.join(' '));
  const ask = (completes: Completes | undefined) => candidates(completes, tokens, io);
  const valueOf = (name: string) => ask(meant.flatMap(({ flags }) => flags[name] ?? [])[0]?.completes);

  const last = tokens.at(-1);
  if (last !== undefined && 'flag' in last && last.value === undefined && takesValue(commands, last.flag))
    return valueOf(last.flag);
  const inline = /^--([^=]+)=/u.exec(current)?.[1];
  if (inline !== undefined)
    return (await valueOf(inline)).map((one) => (one === filesMark ? one : `--${inline}=${one}`));
  if (current.startsWith('-')) {
    const settings = await Promise.all(meant.map(async ({ settings: keys }) => (await keys?.()) ?? []));
    return [...meant.flatMap(({ flags }) => Object.keys(flags)), ...settings.flat()].map((name) => `--${name}`);
  }
  const name = meant[0]?.name;
  if (name === undefined) return nextWords(commands, typed.join(' '));
  const index = typed.length - name.split(' ').length;
  const argument = meant.flatMap(({ arguments: all }) => all[index] ?? all.filter((one) => one.repeated === true))[0];
  return [...(index === 0 ? nextWords(commands, name) : []), ...(await ask(argument?.completes))];
}

/** The commands whose name is the longest beginning of the line. */
function longestNamed(commands: readonly Command[], line: string): readonly Command[] {
  const named = commands.filter(({ name }) => startsWith(line, name));
  const longest = Math.max(...named.map(({ name }) => name.length));
  return named.filter(({ name }) => name.length === longest);
}

function takesValue(commands: readonly Command[], name: string): boolean {
  return commands.some(({ flags }) => flags[name]?.value !== undefined);
}

const asked = {
  accounts: ['/armory/agents', (agent: Readonly<Record<string, unknown>>) => agent['accounts']],
  agents: ['/armory/agents', (agent: Readonly<Record<string, unknown>>) => agent['agentId']],
  instances: ['/armory/clouddrivers', (instance: Readonly<Record<string, unknown>>) => instance['id']],
  operations: ['/armory/agent/operations', (record: Readonly<Record<string, unknown>>) => record['operationId']],
} as const;

/** Names come from the gateway that the line names; if it does not answer, there are none. */
async function candidates(
  completes: Completes | undefined,
  tokens: readonly Token[],
  io: CommandIo,
): Promise<readonly string[]> {
  if (completes === undefined) return [];
  if (completes === 'files') return [filesMark];
  if (typeof completes !== 'string') return completes;
  const [path, namesOf] = asked[completes];
  try {
    const rows = await withDeadline(deadlineMs, io.signal, 'the gateway', (signal) =>
      openSession(gatewayFlagsOf(tokens), { ...io, signal }).client.list<Readonly<Record<string, unknown>>>(path, {}),
    );
    const names = rows.flatMap((row) => namesOf(row) as string | readonly string[]);
    return names.filter((name) => harmless.test(name) && !name.startsWith('-'));
  } catch {
    io.signal.throwIfAborted();
    return [];
  }
}

/** The flags for the gateway's address and the credentials, as far as they are valid. */
function gatewayFlagsOf(tokens: readonly Token[]): GatewayFlags {
  const flags: Readonly<Record<string, Flag>> = gatewayFlags;
  const values = tokens.map((token) => {
    const value = 'flag' in token && token.value !== undefined ? flags[token.flag]?.read(token.value) : undefined;
    return 'flag' in token && value !== undefined ? [token.flag, value] : ['help', undefined];
  });
  return Object.fromEntries(values) as GatewayFlags;
}
