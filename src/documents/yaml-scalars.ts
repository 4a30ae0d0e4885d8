/**
 * The value of a YAML scalar, as in `kubectl`: the words and numbers of YAML 1.1, as go-yaml v2 reads them
 * (go.yaml.in/yaml/v2, resolve.go). Not quite those of the specification: 1:30 and dates are text, 0o17 is a number.
 */

import { exactNumber, type ExactNumber } from './exact-json.js';

export type Scalar = string | number | boolean | null | ExactNumber;

const words = new Map<string, Scalar>([
  ...inAllCases(true, 'y', 'yes', 'true', 'on'),
  ...inAllCases(false, 'n', 'no', 'false', 'off'),
  ...inAllCases(null, '', '~', 'null'),
  ...inAllCases(Infinity, '.inf', '+.inf'),
  ...inAllCases(-Infinity, '-.inf'),
  ...['.nan', '.NaN', '.NAN'].map((word) => [word, NaN] as const),
]);

function inAllCases(value: Scalar, ...all: readonly string[]): [string, Scalar][] {
  return all.flatMap((word) => {
    const capital = word.replace(/[a-z]/u, (letter) => letter.toUpperCase());
    return [word, capital, word.toUpperCase()].map((each): [string, Scalar] => [each, value]);
  });
}

const integer = /^([-+]?)(0[bB][01]+|0[oO][0-7]+|0[xX][\da-fA-F]+|0[0-7]+|0|[1-9]\d*)$/u;
const decimal = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/u;

/** The value of an unquoted scalar. */
export function plainScalar(text: string): Scalar {
  const word = words.get(text);
  if (word !== undefined) return word;
  if (!/^[-+.\d]/u.test(text)) return text;
  // In what begins with a point, they stand between digits.
  if (/^\..*(?<!\d)_|^\..*_(?!\d)/u.test(text)) return text;
  const digits = text.replaceAll('_', '');
  const whole = integerOf(digits);
  if (whole !== undefined) return whole;
  const number = decimal.test(digits) ? Number(digits) : NaN;
  return Number.isFinite(number) ? number : text;
}

/** Of 64 bits, signed or not; larger ones are no integers here, but doubles. */
function integerOf(text: string): number | ExactNumber | undefined {
  const [, sign = '', written] = integer.exec(text) ?? [];
  if (written === undefined) return undefined;
  const amount = BigInt(/^0\d/u.test(written) ? `0o${written.slice(1)}` : written);
  const value = sign === '-' ? -amount : amount;
  const fits = value === BigInt.asIntN(64, value) || (sign === '' && value === BigInt.asUintN(64, value));
  return fits ? exactNumber(String(value)) : undefined;
}

const core = 'tag:yaml.org,2002:';

/**
 * The value of a scalar with a tag, quoted or not. Undefined if it does not have the tag's type. Unknown tags mean
 * text.
 */
export function taggedScalar(tag: string, text: string): Scalar | undefined {
  const value = plainScalar(text);
  switch (tag) {
    case `${core}binary`: {
      const base64 = text.replaceAll(/[\r\n]/gu, '');
      const valid = base64.length % 4 === 0 && /^[A-Za-z\d+/]*={0,2}$/u.test(base64);
      return valid ? Buffer.from(base64, 'base64').toString() : undefined;
    }
    case `${core}bool`:
      return typeof value === 'boolean' ? value : undefined;
    case `${core}null`:
      return value === null ? value : undefined;
    case `${core}int`:
      return integerOf(text.replaceAll('_', ''));
    case `${core}float`:
      return typeof value === 'number' || integerOf(text.replaceAll('_', '')) !== undefined ? Number(value) : undefined;
    default:
      return text;
  }
}

/** Whether a scalar of a settings file may have the tag. */
export function isCoreTag(tag: string): boolean {
  return ['binary', 'bool', 'float', 'int', 'null', 'str', 'timestamp'].some((name) => tag === core + name);
}

/** The name of a field in JSON: `0x10` becomes 16, `yes` becomes true. Undefined for null, which is not a name. */
export function fieldName(key: Scalar, text: string): string | undefined {
  if (key === null) return undefined;
  if (typeof key !== 'number' || integerOf(text.replaceAll('_', '')) !== undefined) return String(key);
  if (!Number.isFinite(key)) return Number.isNaN(key) ? '.nan' : key > 0 ? '.inf' : '-.inf';
  return shortest(Math.fround(key));
}

/** A number of 32 bits as Go prints it: strconv.FormatFloat(number, 'g', -1, 32). */
function shortest(number: number): string {
  const precision = [1, 2, 3, 4, 5, 6, 7, 8].find((each) => Math.fround(Number(number.toPrecision(each))) === number);
  const written = number.toExponential((precision ?? 9) - 1);
  const [digits = '', exponent = ''] = written.split('e');
  const power = Number(exponent);
  if (power >= -4 && power < 6) return String(Number(written));
  return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}
