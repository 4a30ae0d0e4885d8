/**
 * How the values of a chart are described: one TypeBox schema with a description and a default for each, from which
 * values.yaml, values.schema.json and the table of the README are made. Values that Kubernetes defines are free-form here:
 * the API server knows them better.
 */

import Type, { type TObject, type TProperties, type TSchema } from 'typebox';

type Map = Readonly<Record<string, unknown>>;

/** A section: its members are values of their own. */
export const section = (description: string, properties: TProperties): TObject =>
  Type.Object(properties, { description, additionalProperties: false });

export const flag = (description: string, value: boolean): TSchema => Type.Boolean({ description, default: value });

export const text = (description: string, value = '', pattern?: string): TSchema =>
  Type.String({ description, default: value, ...(pattern === undefined ? {} : { pattern }) });

export const choice = (description: string, value: string, choices: string[]): TSchema =>
  Type.Enum(choices, { description, default: value });

export const count = (description: string, value: number, minimum: number, maximum = 2 ** 31 - 1): TSchema =>
  Type.Integer({ description, default: value, minimum, maximum });

/** A number that need not be given. */
export const optionalCount = (
  description: string,
  minimum: number,
  maximum = 2 ** 31 - 1,
  value: number | null = null,
): TSchema => Type.Unsafe({ type: ['integer', 'null'], description, default: value, minimum, maximum });

/** A number or a share: `1`, `"25%"`. */
export const share = (description: string, value: number | string | null): TSchema =>
  Type.Unsafe({
    type: ['integer', 'string', 'null'],
    description,
    default: value,
    minimum: 0,
    pattern: '^[0-9]{1,3}%$',
  });

export const texts = (description: string, value: string[] = []): TSchema =>
  Type.Array(Type.String({ minLength: 1 }), { description, default: value });

/** Names and texts: labels, annotations. */
export const labels = (description: string, value: Map = {}): TSchema =>
  Type.Unsafe({ type: 'object', description, default: value, additionalProperties: { type: 'string' } });

/** An object of the Kubernetes API. */
export const object = (description: string, value: Map = {}): TSchema =>
  Type.Unsafe({ type: 'object', description, default: value });

/** A list of objects of the Kubernetes API. */
export const objects = (description: string, value: readonly Map[] = []): TSchema =>
  Type.Unsafe({ type: 'array', description, default: value, items: { type: 'object' } });

/** The name of a Secret that is there already, and the keys that are taken from it. */
export const existingSecret = (description: string, keys: TProperties): TObject =>
  section(description, { existingSecret: text('Name of a Secret; empty: no Secret.'), ...keys });

export const key = (description: string, value = ''): TSchema =>
  text(`${description}${value === '' ? ' Empty: not taken from the Secret.' : ''}`, value, '^[-._a-zA-Z0-9]*$');
