/** Reads the value of one setting of the agent. */

import Type, { type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { found } from '../../configuration/problems.js';
import { pathFrom, secretFrom, unresolved } from '../../configuration/references.js';
import type { Environment } from '../../core/environment.js';

interface Keywords {
  readonly secret?: boolean;
  readonly path?: boolean;
  readonly verbatim?: boolean;
  readonly synonyms?: Readonly<Record<string, string>>;
  readonly expected?: string;
}

/** @returns the problem in words, without the value of a secret */
export function valueOf(
  schema: TSchema,
  value: unknown,
  environment: Environment,
): { readonly value: unknown } | { readonly problem: string } {
  const { secret = false, path = false, verbatim = false } = schema as Keywords;
  const reference = verbatim ? undefined : unresolved(value, secret ? 'secret' : path ? 'path' : 'text', true);
  if (reference !== undefined) return { problem: reference };
  const meant = meaningOf(schema, value, environment);
  if (meant instanceof Error) return { problem: meant.message };
  if (Value.Check(schema, meant)) return { value: meant };
  return { problem: `expected ${expectation(schema)}, found ${found(value, secret)}` };
}

/** Charts and operators like to write numbers and booleans as text. */
function meaningOf(schema: TSchema, value: unknown, environment: Environment): unknown {
  if (typeof value !== 'string') return value;
  const { secret = false, path = false, synonyms = {} } = schema as Keywords;
  if (secret) return value.startsWith('env:') ? variable(value.slice(4), environment) : secretFrom(value);
  if (path) return pathFrom(value);
  if (Type.IsBoolean(schema)) return { true: true, false: false }[value.toLowerCase()] ?? value;
  if (Type.IsInteger(schema) || Type.IsNumber(schema)) return /^-?\d+(\.\d+)?$/u.test(value) ? Number(value) : value;
  if (Type.IsEnum(schema)) {
    const word = synonyms[value.toLowerCase()] ?? value.toLowerCase();
    return schema.enum.find((one) => String(one).toLowerCase() === word) ?? value;
  }
  return value;
}

function variable(name: string, environment: Environment): string | Error {
  return environment[name] ?? new Error(`the variable ${name} is not set`);
}

/** The values of a setting, as the end of "expected ...". */
export function expectation(schema: TSchema): string {
  const { expected, path = false } = schema as Keywords;
  if (expected !== undefined) return expected;
  if (Type.IsBoolean(schema)) return 'true or false';
  if (Type.IsEnum(schema))
    return `one of ${schema.enum.map((one) => (one === '' ? 'nothing' : String(one))).join(', ')}`;
  if (Type.IsInteger(schema) || Type.IsNumber(schema)) {
    const { minimum, maximum } = schema as { minimum?: number; maximum?: number };
    return `a number from ${String(minimum)} to ${String(maximum)}`;
  }
  if (Type.IsArray(schema)) return 'a list';
  if (Type.IsObject(schema)) return 'a section';
  return path ? 'the path of a file' : 'text';
}
