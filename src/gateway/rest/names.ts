/** Names of accounts, agents and instances, and ids, as callers give them: no control characters, which no name has. */

import Type, { type TSchemaOptions } from 'typebox';

export const nameSchema = (maxLength: number, options: TSchemaOptions = {}) =>
  Type.String({ minLength: 1, maxLength, pattern: '^[^\\u0000-\\u001f\\u007f]+$', ...options });
