/** Flags of commands: how they are called, what they take, and how their text becomes a value. */

import { UsageError } from './usage-error.js';

/** What completes an argument or the value of a flag: fixed words, files, or names that the gateway is asked for. */
export type Completes = readonly string[] | 'files' | 'accounts' | 'agents' | 'instances' | 'operations';

export interface Flag<T = unknown> {
  readonly short?: string;
  /** What stands for the value in help; absent: a switch. */
  readonly value?: string;
  readonly help: string;
  /** Completes "must be": "a whole number from 0 to 9". */
  readonly expected: string;
  /** @returns undefined when the text is not what is expected */
  readonly read: (text: string) => T | undefined;
  readonly completes?: Completes;
  /** The flag has to be given; what is asked if it was not: "which account?". */
  readonly missing?: string;
  /** It may be given several times; any other one is refused then, because all but one would be ignored. */
  readonly repeated?: true;
}

/** The flags of a command by their names, without dashes. */
export type Flags = Readonly<Record<string, Flag>>;

type ReadOf<F> = F extends Flag<infer T> ? (F extends { readonly repeated: true } ? readonly T[] : T) : never;
type ValueOf<F> = F extends { readonly missing: string } ? ReadOf<F> : ReadOf<F> | undefined;

/** What was given, by the names of the flags; undefined: it was not. */
export type FlagValues<F extends Flags> = { readonly [Name in keyof F]: ValueOf<F[Name]> };

interface Described {
  readonly value: string;
  readonly help: string;
  readonly short?: string;
  readonly completes?: Completes;
}

/** Text that is not empty: an empty variable of a script must not pass for "not given". @param what "a name" */
export function text(what: string, described: Described): Flag<string> {
  return { ...described, expected: what, read: (given) => (given === '' ? undefined : given) };
}

export function file(described: Omit<Described, 'value' | 'completes'>): Flag<string> {
  return text('the name of a file', { ...described, value: 'FILE', completes: 'files' });
}

/** One of some words, in any case, with - and _ for blanks. */
export function choice<const Word extends string>(words: readonly Word[], described: Described): Flag<Word> {
  const plain = (word: string) => word.toLowerCase().replaceAll(/[_ ]/gu, '-');
  return {
    completes: words,
    ...described,
    expected: `one of ${words.join(', ')}`,
    read: (given) => words.find((word) => plain(word) === plain(given)),
  };
}

export interface Bounds {
  readonly minimum?: number;
  readonly maximum?: number;
}

export const largest = 2 ** 31 - 1;

export function whole({ minimum = 0, maximum = largest }: Bounds, described: Described): Flag<number> {
  const expected = `a whole number from ${minimum} to ${maximum}`;
  return { ...described, expected, read: (given) => within(/^[+-]?\d+$/u, given, minimum, maximum) };
}

export function decimal({ minimum = 0, maximum = largest }: Bounds, described: Described): Flag<number> {
  const expected = `a number from ${minimum} to ${maximum}`;
  const form = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/iu;
  return { ...described, expected, read: (given) => within(form, given, minimum, maximum) };
}

function within(form: RegExp, given: string, minimum: number, maximum: number): number | undefined {
  const number = form.test(given) ? Number(given) : Number.NaN;
  return number >= minimum && number <= maximum ? number : undefined;
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** "90s", "10m", "1h30m", "1.5h" in ms, as Go writes them, and days. */
function durationOf(given: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|[smhd]))+$/u.test(given)) return undefined;
  const parts = [...given.matchAll(/([\d.]+)(ms|[smhd])/gu)];
  return parts.reduce((sum, [, amount, unit = 's']) => sum + Number(amount) * (units[unit] ?? 0), 0);
}

/** Whole seconds as a number, or with a unit. The value is in seconds. */
export function seconds({ minimum = 0, maximum = largest }: Bounds, described: Omit<Described, 'value'>): Flag<number> {
  return {
    ...described,
    value: 'SECONDS',
    expected: `a time from ${minimum} to ${maximum} whole seconds, such as 30, 30s, 5m or 1h`,
    read: (given) => {
      const ms = durationOf(given);
      const found = ms === undefined ? Number(/^\d+$/u.test(given) ? given : Number.NaN) : ms / 1_000;
      return Number.isInteger(found) && found >= minimum && found <= maximum ? found : undefined;
    },
  };
}

const timeForm = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/u;

/** A point of time (RFC 3339, or a day in UTC), or how long ago. The value is in ms since 1970. */
export function time(described: Omit<Described, 'value'>): Flag<number> {
  return {
    ...described,
    value: 'TIME',
    expected: 'a time such as 2026-03-01T12:00:00Z or 2026-03-01, or how long ago: 90s, 10m, 2h, 1d',
    read: (given) => {
      const ago = durationOf(given);
      const ms = ago === undefined ? pointOf(given) : Date.now() - ago;
      // The last and the first time that a Date can have.
      return Math.abs(ms) <= 8.64e15 ? ms : undefined;
    },
  };
}

/** @returns NaN when it is none; JavaScript alone takes the 30th of February for the 2nd of March */
function pointOf(given: string): number {
  const day = given.slice(0, 10);
  const noon = timeForm.test(given) ? Date.parse(`${day}T12:00:00Z`) : Number.NaN;
  return Number.isNaN(noon) || new Date(noon).toISOString().slice(0, 10) !== day ? Number.NaN : Date.parse(given);
}

/** The base URL of a gateway's REST API, without a slash at the end; the path of a proxy before it is kept. */
export function url(described: Omit<Described, 'value'>): Flag<string> {
  return { ...described, value: 'URL', expected: baseUrlForm, read: baseUrlOf };
}

const baseUrlForm = 'a URL such as https://gateway.example:7002 or http://host/path, without a user, ? and #';

function baseUrlOf(given: string): string | undefined {
  const parsed = URL.canParse(given) ? new URL(given) : undefined;
  if (parsed === undefined || !/^https?:\/\//iu.test(given) || /[?#]/u.test(given)) return undefined;
  if (parsed.username !== '' || parsed.password !== '') return undefined;
  return parsed.origin + parsed.pathname.replace(/\/+$/u, '');
}

export function toggle(help: string, short?: string): Flag<boolean> {
  return {
    help,
    ...(short === undefined ? {} : { short }),
    expected: 'true or false',
    read: (given) => (given === 'true' ? true : given === 'false' ? false : undefined),
  };
}

/** A flag that may be given several times; its value is a list. */
export function repeated<F extends Flag>(flag: F): F & { readonly repeated: true } {
  return { ...flag, repeated: true };
}

/** A flag that the command cannot do without. @param missing what is asked: "which account?" */
export function required<F extends Flag>(flag: F, missing: string): F & { readonly missing: string } {
  return { ...flag, missing };
}

/** @param name of the flag or variable. @throws UsageError with it */
export function readFlag<T>(name: string, flag: Pick<Flag<T>, 'read' | 'expected'>, given: string): T {
  const value = flag.read(given);
  // A URL may carry a password, and what is said here ends up in logs.
  const shown = given.replace(/(\/\/[^/?#@:]*:)[^/?#]*@/u, '$1***@');
  if (value === undefined) throw new UsageError(`${name} must be ${flag.expected}, not "${shown}"`);
  return value;
}
