/** Validates requests against their TypeBox schemas; what fits as it is, is not copied to be converted first. */

import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

export const validatorCompiler: FastifySchemaCompiler<TSchema> = (route) => {
  const converting = TypeBoxValidatorCompiler(route);
  const compiled = Compile(route.schema);
  return (value: unknown) => (compiled.Check(value) ? { value } : converting(value));
};
