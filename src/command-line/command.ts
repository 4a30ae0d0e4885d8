/** Commands: each declares its arguments and its flags, and can read no other ones. */

import type { Readable } from 'node:stream';
import type { Completes, Flags, FlagValues } from './flags.js';

/** What a command has to do with the world: a process's streams, or a test's. */
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
  /** A terminal, where a line can be written over. */
  readonly isTTY?: boolean | undefined;
}

export interface Argument {
  /** KIND, as in help. */
  readonly name: string;
  readonly optional?: true;
  readonly completes?: Completes;
}

export interface Input<F extends Flags> {
  /** The arguments, as many as were given. */
  readonly words: readonly string[];
  readonly flags: FlagValues<F>;
  /** All that follows the command's name, where it reads that itself. */
  readonly settings: readonly string[];
}

/** Several commands may have one name, with different numbers of arguments. */
export interface Command<F extends Flags = Flags> {
  /** "ops send deploy" */
  readonly name: string;
  readonly summary: string;
  readonly arguments: readonly Argument[];
  readonly flags: F;
  /** Settings are flags too (--KEY=VALUE), which the command reads itself. Gives their keys. */
  readonly settings?: () => Promise<readonly string[]>;
  /** What its exit codes are, where they are not the usual ones. */
  readonly exitCodes?: string;
  /** Called by scripts: not shown in help, and takes what follows its name as it is. */
  readonly hidden?: true;
  /** @returns the exit code */
  run(input: Input<F>, io: CommandIo): number | Promise<number>;
}

/** Gives the definition back, with what `run` gets typed by the flags beside it. */
export function command<const F extends Flags>(definition: Command<F>): Command {
  return definition;
}

/** "KIND [NAME]" */
export function usageOf({ arguments: expected }: Command): string {
  return expected.map(({ name, optional }) => (optional ? `[${name}]` : name)).join(' ');
}

/** Whether the words of `name` begin with those of `start`. */
export function startsWith(name: string, start: string): boolean {
  return start === '' || name === start || name.startsWith(`${start} `);
}
