/** A command line of the terminal's commands: which command, its arguments and its flags. */

import { parseArgs } from 'node:util';
import { messageOf } from '../core/errors.js';
import { commands, type Command } from './command-table.js';
import { usageError } from './exit-code.js';

export interface ParsedCommand {
  readonly command: Command;
  readonly words: readonly string[];
  readonly help: boolean;
  /** The value of a flag; undefined when it was not given. */
  readonly text: (flag: string) => string | undefined;
  /** @throws ClientError when it is not a whole number of these bounds */
  readonly number: (flag: string, minimum: number, maximum: number) => number | undefined;
}

/** @throws ClientError that names what is wrong */
export function parseCommand(argv: readonly string[]): ParsedCommand {
  const [first = '', second = ''] = argv;
  const command = commands.find(({ name }) => name === first || name === `${first} ${second}`);
  if (command === undefined) {
    const names = commands.map(({ name }) => name).filter((name) => name.startsWith(`${first} `));
    throw usageError(`expected one of: ${names.join(', ')}`);
  }
  const rest = argv.slice(command.name.split(' ').length);
  const options = Object.fromEntries(
    command.flags.map(({ name, short, value }) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        ...(short === undefined ? {} : { short }),
      },
    ]),
  );
  const { values, positionals } = parse(rest, options);
  const help = values['help'] === true;
  const [least, most] = command.arguments;
  if (!help && positionals.length < least) throw usageError(`${command.usage} is missing`);
  if (positionals.length > most) throw usageError(`what is "${positionals[most] ?? ''}"? One argument too many`);
  const text = (flag: string): string | undefined => {
    const value = values[flag];
    if (typeof value !== 'string') return undefined;
    const choices = command.flags.find(({ name }) => name === flag)?.choices;
    if (choices !== undefined && !choices.includes(value))
      throw usageError(`--${flag} must be one of ${choices.join(', ')}, not "${value}"`);
    return value;
  };
  const number = (flag: string, minimum: number, maximum: number): number | undefined => {
    const value = text(flag);
    if (value === undefined) return undefined;
    const found = /^\d+$/u.test(value) ? Number(value) : Number.NaN;
    if (found >= minimum && found <= maximum) return found;
    throw usageError(`--${flag} must be a whole number from ${minimum} to ${maximum}, not "${value}"`);
  };
  return { command, words: positionals, help, text, number };
}

function parse(args: readonly string[], options: NonNullable<Parameters<typeof parseArgs>[0]>['options']) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options: options ?? {} });
  } catch (error) {
    throw usageError(messageOf(error).split('. ')[0] ?? '');
  }
}
