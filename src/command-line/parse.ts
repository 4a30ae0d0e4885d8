/** Parses a command line into a command with its arguments and flag values, or into a request for help, or an error. */

import { parseArgs } from 'node:util';
import { nearest } from '../configuration/problems.js';
import { firstNames } from '../core/first-names.js';
import { startsWith, usageOf, type Command, type Input } from './command.js';
import { readFlag, type Flag, type Flags } from './flags.js';
import { UsageError } from './usage-error.js';

export type Parsed =
  | { readonly asks: 'help'; readonly words: readonly string[] }
  | { readonly asks: 'version' }
  | { readonly asks?: undefined; readonly command: Command; readonly input: Input<Flags> };

/** An argument: a word, or a flag with its value if it has one. */
export type Token =
  { readonly word: string } | { readonly flag: string; readonly raw: string; readonly value?: string };

/**
 * @returns the command with its input; or a request for the help of these words, or for the version
 * @throws UsageError that names the command, argument or flag
 */
export function parseCommandLine(commands: readonly Command[], argv: readonly string[]): Parsed {
  const readsItself = commands.find(
    ({ name, settings, hidden }) => (settings !== undefined || hidden === true) && name === argv[0],
  );
  if (readsItself !== undefined) {
    const settings = argv.slice(1);
    const asks = (...names: string[]) => readsItself.hidden !== true && settings.some((one) => names.includes(one));
    if (asks('--help', '-h')) return { asks: 'help', words: [readsItself.name] };
    if (asks('--version')) return { asks: 'version' };
    return { command: readsItself, input: { words: [], flags: {}, settings } };
  }
  const tokens = tokensOf(commands, argv);
  const words = wordsOfTokens(tokens);
  const asks = (name: string) => tokens.some((one) => 'flag' in one && one.flag === name && one.value !== 'false');
  if (asks('help')) return { asks: 'help', words };
  if (asks('version')) return { asks: 'version' };
  const command = commandOf(commands, words, tokens);
  if (command.settings !== undefined) throw new UsageError(`${command.name} must come before its flags`);
  const given = words.slice(command.name.split(' ').length);
  const empty = given.findIndex((word) => word === '');
  if (empty >= 0)
    throw new UsageError(
      `${(command.arguments[empty] ?? command.arguments.at(-1))?.name ?? 'argument'} must not be empty`,
    );
  return { command, input: { words: given, flags: valuesOf(commands, command, tokens), settings: [] } };
}

/** The longest beginning of the words that commands have. @throws UsageError if the first word is not a command */
export function knownStart(commands: readonly Command[], words: readonly string[]): string {
  const known = leading(commands, words);
  const start = known.join(' ');
  const next = words[known.length];
  if (next !== undefined && !commands.some(({ name }) => name === start)) throw unknownCommand(commands, start, next);
  return start;
}

/** The first words that commands have. */
function leading(commands: readonly Command[], words: readonly string[]): readonly string[] {
  const end = words.findIndex((_, index) => {
    const start = words.slice(0, index + 1).join(' ');
    return !commands.some(({ name }) => startsWith(name, start));
  });
  return end < 0 ? words : words.slice(0, end);
}

/** The beginning of a command line that names commands; empty if its first word does not. */
export function wordsOf(commands: readonly Command[], argv: readonly string[]): readonly string[] {
  return leading(commands, wordsOfTokens(tokensOf(commands, argv)));
}

function wordsOfTokens(tokens: readonly Token[]): string[] {
  return tokens.flatMap((token) => ('word' in token ? [token.word] : []));
}

/** Every flag of all commands, for their number of values: the meaning of a word does not depend on its position. */
export function tokensOf(commands: readonly Command[], argv: readonly string[]): Token[] {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {};
  for (const { flags } of commands)
    for (const [name, { short, value }] of Object.entries(flags))
      options[name] = {
        type: value === undefined ? 'boolean' : 'string',
        ...(short === undefined ? {} : { short }),
        ...(options[name] ?? {}),
      };
  // Not strict: in POSIX a value may begin with a dash; and our own errors are reported here.
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, tokens: true, allowPositionals: true });
  return tokens.flatMap((token): Token[] => {
    if (token.kind === 'positional') return [{ word: token.value }];
    if (token.kind === 'option-terminator') return [];
    const { name, rawName, value } = token;
    if (value === undefined) return [{ flag: name, raw: rawName }];
    // -n=prod is -n prod, as in kubectl.
    const isShort = !rawName.startsWith('--') && token.inlineValue && value.startsWith('=');
    return [{ flag: name, raw: rawName, value: isShort ? value.slice(1) : value }];
  });
}

/** @throws UsageError */
function commandOf(commands: readonly Command[], words: readonly string[], tokens: readonly Token[]): Command {
  const line = words.join(' ');
  const named = commands.filter(({ name }) => startsWith(line, name));
  const longest = Math.max(...named.map(({ name }) => name.length));
  const variants = named.filter(({ name }) => name.length === longest);
  const [first] = variants;
  if (first === undefined) {
    refuseUnknownFlags(commands, commands, tokens);
    const start = knownStart(commands, words);
    throw new UsageError(`which command? Expected one of: ${nextWords(commands, start).join(', ')}`);
  }
  refuseUnknownFlags(commands, variants, tokens);
  const given = words.slice(first.name.split(' ').length);
  const fitting = variants.find(({ arguments: expected }) => fits(expected, given.length));
  if (fitting !== undefined) return fitting;
  const most = variants.reduce((one, other) => (other.arguments.length > one.arguments.length ? other : one));
  const missing = most.arguments[given.length];
  if (missing !== undefined) {
    throw new UsageError(`${missing.name} is missing, as in: agent-gateway ${most.name} ${usageOf(most)}`);
  }
  const extra = given[most.arguments.length] ?? '';
  if (nextWords(commands, most.name).length > 0) throw unknownCommand(commands, most.name, extra);
  throw new UsageError(`unexpected "${extra}"; ${most.name} takes ${usageOf(most) || 'no arguments'}`);
}

function fits(expected: Command['arguments'], count: number): boolean {
  const most = expected.at(-1)?.repeated === true ? Number.POSITIVE_INFINITY : expected.length;
  return count <= most && count >= expected.filter(({ optional }) => optional !== true).length;
}

function unknownCommand(commands: readonly Command[], start: string, word: string): UsageError {
  const next = nextWords(commands, start);
  const candidate = nearest(word, next);
  const full = (last: string) => (start === '' ? last : `${start} ${last}`);
  const hint = candidate === undefined ? `expected one of: ${next.join(', ')}` : `did you mean ${full(candidate)}?`;
  return new UsageError(`unknown command "${full(word)}"; ${hint}`);
}

/** The words that may follow those of `start` in the names of commands. */
export function nextWords(commands: readonly Command[], start: string): string[] {
  const depth = start === '' ? 0 : start.split(' ').length;
  const next = commands.filter(({ name, hidden }) => hidden !== true && startsWith(name, start));
  return [...new Set(next.flatMap(({ name }) => name.split(' ')[depth] ?? []))];
}

/** @throws UsageError for a flag that no command has, or none of these */
function refuseUnknownFlags(all: readonly Command[], some: readonly Command[], tokens: readonly Token[]): void {
  for (const token of tokens) {
    if (!('flag' in token) || some.some(({ flags }) => Object.hasOwn(flags, token.flag))) continue;
    const others = all.filter(({ flags }) => Object.hasOwn(flags, token.flag));
    if (others.length > 0) throw notApplying(token.raw, some[0], others);
    const names = some.flatMap(({ flags }) => Object.keys(flags));
    const candidate = nearest(token.flag, names);
    const hint = candidate === undefined ? '' : `; did you mean --${candidate}?`;
    throw new UsageError(`no such flag: ${token.raw}${hint}`);
  }
}

function notApplying(raw: string, refusing: Command | undefined, others: readonly Command[]): UsageError {
  const all = [...new Set(others.map((other) => nameWithArguments(other)))];
  const name = refusing === undefined ? 'this command' : nameWithArguments(refusing);
  return new UsageError(`${raw} does not apply to ${name}, only to ${firstNames(all, 4)}`);
}

function nameWithArguments(command: Command): string {
  return `${command.name} ${usageOf(command)}`.trimEnd();
}

/** @throws UsageError */
function valuesOf(all: readonly Command[], command: Command, tokens: readonly Token[]): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const token of tokens) {
    if (!('flag' in token)) continue;
    const { flag: name, raw, value } = token;
    if (!Object.hasOwn(command.flags, name)) {
      const namesakes = all.filter((other) => other.name === command.name && Object.hasOwn(other.flags, name));
      throw notApplying(raw, command, namesakes);
    }
    const flag = command.flags[name] as Flag;
    if (value === undefined && flag.value !== undefined) throw new UsageError(`--${name} needs a value: ${flag.value}`);
    if (values[name] !== undefined && flag.repeated !== true)
      throw new UsageError(`--${name} is given twice; give it once`);
    const read = readFlag(`--${name}`, flag, value ?? 'true');
    values[name] = flag.repeated === true ? [...((values[name] as unknown[] | undefined) ?? []), read] : read;
  }
  for (const [name, { missing }] of Object.entries(command.flags))
    if (missing !== undefined && values[name] === undefined) throw new UsageError(`--${name} is missing: ${missing}`);
  return values;
}
