/** Commands: each declares its arguments and its flags, and can read no others. */

import type { Readable } from 'node:stream';
import type { Completes, Flags, FlagValues } from './flags.js';

/** A command's connection to the outside: the streams of a process, or of a test. */
export interface CommandIo {
  readonly stdin: Readable;
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Ends the command. */
  readonly signal: AbortSignal;
  /** Of the product. */
  readonly version: string;
}

export interface TextStream {
  write(text: string): unknown;
  /** Whether this is a terminal, in which a line can be overwritten. */
  readonly isTTY?: boolean | undefined;
}

export interface Argument {
  /** KIND, as in help. */
  readonly name: string;
  readonly optional?: true;
  /** Of the last one: any number of them. */
  readonly repeated?: true;
  readonly completes?: Completes;
}

export interface Input<F extends Flags> {
  /** The arguments, as many as were given. */
  readonly words: readonly string[];
  readonly flags: FlagValues<F>;
  /** Everything after the command's name, if the command parses that itself. */
  readonly settings: readonly string[];
}

/** Several commands may have one name, with different numbers of arguments. */
export interface Command<F extends Flags = Flags> {
  /** "ops send deploy" */
  readonly name: string;
  readonly summary: string;
  readonly arguments: readonly Argument[];
  readonly flags: F;
  /** Settings are flags too (--KEY=VALUE), which the command reads itself. @returns their keys */
  readonly settings?: () => Promise<readonly string[]>;
  /** Its exit codes, if they differ from the usual ones. */
  readonly exitCodes?: string;
  /** For scripts: not shown in help, and gets the words after its name unparsed. */
  readonly hidden?: true;
  /** @returns the exit code */
  run(input: Input<F>, io: CommandIo): number | Promise<number>;
}

/** Returns the definition unchanged; types the input of `run` by the flags. */
export function command<const F extends Flags>(definition: Command<F>): Command {
  return definition;
}

/** "KIND [NAME]" */
export function usageOf({ arguments: expected }: Command): string {
  const shown = expected.map(({ name, optional, repeated }) => {
    const words = repeated === true ? `${name}...` : name;
    return optional === true ? `[${words}]` : words;
  });
  return shown.join(' ');
}

/** Whether the words of `name` begin with those of `start`. */
export function startsWith(name: string, start: string): boolean {
  return start === '' || name === start || name.startsWith(`${start} `);
}
