/**
 * Validates requests against their TypeBox schemas; a value that already fits is not copied and converted. Of
 * values that come as text, only whole numbers are converted: TypeBox's own conversion takes "true" and "" for numbers
 * as well.
 */

import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import type { FastifySchemaCompiler } from 'fastify';
import Type, { type TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

export const validatorCompiler: FastifySchemaCompiler<TSchema> = (route) => {
  // As for a body: without TypeBox's conversion.
  const validate = TypeBoxValidatorCompiler({ ...route, httpPart: 'body' });
  const compiled = Compile(route.schema);
  const asText = route.httpPart !== 'body';
  return (value: unknown) => {
    if (compiled.Check(value)) return { value };
    return validate(asText ? withNumbers(route.schema, value) : value);
  };
};

function withNumbers(schema: TSchema, value: unknown): unknown {
  if (!Type.IsObject(schema) || typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, text]: [string, unknown]) => {
    const property = schema.properties[name];
    const isNumber = property !== undefined && Type.IsInteger(property) && typeof text === 'string';
    return [name, isNumber && /^-?\d{1,15}$/u.test(text) ? Number(text) : text];
  });
  return Object.fromEntries(entries) as unknown;
}
