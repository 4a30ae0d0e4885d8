/** The error for a request that breaks its route's schema: one sentence that names the field and the expected value. */

import type { FastifyError, FastifyRequest } from 'fastify';
import { nearest } from '../../configuration/problems.js';

export interface InvalidRequest {
  /** `body.operation`, `query.items`, `body`. */
  readonly field: string;
  readonly message: string;
}

/** The part of a JSON schema that is used here. */
interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

type Finding = NonNullable<FastifyError['validation']>[number];

const typeNames: Readonly<Record<string, string>> = {
  string: 'text',
  object: 'an object',
  array: 'a list',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
};

/** @returns undefined if the error is not a validation error */
export function invalidRequest(error: Partial<FastifyError>, request: FastifyRequest): InvalidRequest | undefined {
  const { validation, validationContext = 'body' } = error;
  if (validation === undefined || validation.length === 0) return undefined;
  const root = request.routeOptions.schema?.[validationContext as 'body'] as Schema | undefined;
  const place = validationContext === 'querystring' ? 'query' : validationContext;
  const finding = mostTelling(validation);
  const path = finding.instancePath.split('/').slice(1);
  const schema = path.reduce<Schema | undefined>((at, name) => at?.properties?.[name] ?? at?.items, root);
  const say = (names: readonly string[], message: string): InvalidRequest => {
    const field = [place, ...names].join('.');
    return { field, message: `${field}: ${message}` };
  };
  switch (finding.keyword) {
    case 'additionalProperties': {
      const name = firstOf(finding.params['additionalProperties']);
      const known = Object.keys(schema?.properties ?? {});
      const meant = nearest(name, known) ?? known.find((field) => name !== '' && field.startsWith(name));
      const hint = meant === undefined ? `known fields: ${known.join(', ')}` : `did you mean "${meant}"?`;
      return say([...path, name.slice(0, 64)], `unknown field; ${hint}`);
    }
    case 'required': {
      const name = firstOf(finding.params['requiredProperties']);
      return say([...path, name], `missing; expected ${expectation(schema?.properties?.[name]) ?? 'a value'}`);
    }
    case 'type':
    case 'enum':
    case 'anyOf':
      return say(path, `expected ${expectation(schema) ?? finding.message ?? 'something else'}`);
    default:
      return say(path, finding.message ?? 'not valid');
  }
}

/** A misspelt field also makes the right one missing: reporting the misspelling helps more. */
function mostTelling(findings: readonly Finding[]): Finding {
  const ranks = ['additionalProperties', 'required', 'type', 'enum'];
  const found = ranks.map((keyword) => findings.find((finding) => finding.keyword === keyword));
  return found.find((finding) => finding !== undefined) ?? (findings[0] as Finding);
}

function expectation(schema: Schema | undefined): string | undefined {
  if (schema === undefined) return undefined;
  if (schema.enum !== undefined) return `one of ${schema.enum.map(String).join(', ')}`;
  const alternatives = (schema.anyOf ?? [schema]).flatMap(({ type }) => typeNames[type ?? ''] ?? []);
  if (alternatives.length === 0) return undefined;
  const fields = Object.keys(schema.properties ?? {});
  return alternatives.join(' or ') + (fields.length === 0 ? '' : ` with ${fields.join(', ')}`);
}

function firstOf(names: unknown): string {
  return Array.isArray(names) ? String(names[0]) : '';
}
