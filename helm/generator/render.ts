/** values.yaml, values.schema.json and the table of a README, from the description of a chart's values. */

import Type, { type TObject, type TSchema } from 'typebox';
import { stringify } from 'yaml';
import type { JsonSchema } from './configuration-schema.js';

const width = 118;

export function valuesYaml(schema: TObject, chart: string): string {
  const head = comment(
    `Values of the chart ${chart}. Made from helm/generator by \`npm run generate\`: every value is checked against ` +
      'values.schema.json, and a name that does not exist is refused.',
    '',
  );
  return `${head}\n${Object.entries(schema.properties)
    .map(([name, child]) => entry(name, child, ''))
    .join('\n')}`;
}

function entry(name: string, schema: TSchema, indent: string): string {
  const about = comment(descriptionOf(schema), indent);
  if (Type.IsObject(schema)) {
    const members = Object.entries(schema.properties).map(([key, child]) => entry(key, child, `${indent}  `));
    return `${about}${indent}${name}:\n${members.join('')}`;
  }
  const value = stringify({ [name]: defaultOf(schema) }, { version: '1.1', nullStr: '', lineWidth: 0 }).replace(
    / $/gm,
    '',
  );
  return about + value.replace(/^(?=.)/gm, indent);
}

function comment(text: string, indent: string): string {
  const lines: string[] = [];
  for (const word of text.split(' ').filter((part) => part !== '')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length + 1 <= width - indent.length) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else {
      lines.push(`${indent}# ${word}`);
    }
  }
  return lines.map((line) => `${line}\n`).join('');
}

export function valuesSchema(schema: TObject): string {
  const plain = withoutRequired(schema);
  const global = { description: 'Values of a parent chart.', type: 'object' };
  const properties = { ...(plain['properties'] as JsonSchema), global };
  const whole = { $schema: 'http://json-schema.org/draft-07/schema#', ...plain, properties };
  return `${JSON.stringify(whole, undefined, 2)}\n`;
}

/** Of the chart's own values: everything has a default, and null takes a value away. */
function withoutRequired(schema: TSchema): JsonSchema {
  const plain = schema as JsonSchema;
  if (!Type.IsObject(schema)) return plain;
  const properties = Object.entries(schema.properties).map(([name, child]) => [name, withoutRequired(child)]);
  const { required: _, ...rest } = plain;
  return { ...rest, properties: Object.fromEntries(properties) as JsonSchema };
}

/** A row for each value; a configuration file is one value here. */
export function valuesTable(schema: TObject): string {
  const rows = Object.entries(schema.properties).flatMap(([name, child]) => tableRows(name, child));
  return ['| value | default | |', '|---|---|---|', ...rows].join('\n');
}

function tableRows(name: string, schema: TSchema): string[] {
  if (!Type.IsObject(schema)) return [row(name, inline(defaultOf(schema)), descriptionOf(schema))];
  const members = Object.entries(schema.properties).flatMap(([key, child]) => tableRows(`${name}.${key}`, child));
  return descriptionOf(schema) === '' ? members : [row(name, '', descriptionOf(schema)), ...members];
}

function row(name: string, value: string, description: string): string {
  return `| \`${name}\` | ${value} | ${description.replaceAll('|', '\\|')} |`;
}

function inline(value: unknown): string {
  if (value === null || value === '') return '';
  return `\`${JSON.stringify(value).replaceAll('|', '\\|')}\``;
}

function descriptionOf(schema: TSchema): string {
  return ((schema as JsonSchema)['description'] as string | undefined) ?? '';
}

function defaultOf(schema: TSchema): unknown {
  return (schema as JsonSchema)['default'];
}
