/** The kinds of settings, each with the data for its documentation and checks; keywords: see schema.ts. */

import Type, { type TSchemaOptions } from 'typebox';

export const flag = (description: string, value: boolean) => Type.Boolean({ description, default: value });
export const text = (description: string, value: string, options: TSchemaOptions = {}) =>
  Type.String({ description, default: value, minLength: 1, ...options });
export const optionalText = (description: string, options: TSchemaOptions = {}) =>
  Type.Optional(Type.String({ description, minLength: 1, ...options }));
/** Of a file: may be written as Spring writes resources, `file:/PATH`. */
export const path = (description: string) => optionalText(description, { path: true });
export const secret = (description: string) => optionalText(description, { secret: true });
export const list = (description: string, value: string[] = [], options: TSchemaOptions = {}) =>
  Type.Array(Type.String({ minLength: 1 }), { description, default: value, ...options });
export const count = (description: string, value: number, minimum: number, maximum: number) =>
  Type.Integer({ description, default: value, minimum, maximum });
export const bytes = (description: string, value: number, minimum: number, maximum: number) =>
  Type.Integer({ description, default: value, minimum, maximum, unit: 'bytes' });
export const port = (description: string, value: number) => count(description, value, 0, 65_535);
