/** Answers as a table for people, as JSON or YAML for programs. */

import { stringifyJson } from '../documents/exact-json.js';
import { writeYaml } from '../documents/yaml.js';

export const outputForms = ['table', 'json', 'yaml'] as const;
export type OutputForm = (typeof outputForms)[number];

/** A column of a table: its heading, and the text of a cell. */
export type Column<Row> = readonly [heading: string, cell: (row: Row) => string];

/**
 * One record or a list of them.
 * @param shown the columns of a table; the other forms show all fields
 */
export function format<Row>(form: OutputForm, records: Row | readonly Row[], columns: readonly Column<Row>[]): string {
  if (form === 'json') return `${stringifyJson(records, 2)}\n`;
  if (form === 'yaml') return writeYaml(records);
  return table(Array.isArray(records) ? (records as readonly Row[]) : [records as Row], columns);
}

/** Columns as wide as their cells; the last one is not padded. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const lines = [
    columns.map(([heading]) => heading),
    ...rows.map((row) => columns.map(([, cell]) => printable(cell(row)))),
  ];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0)));
  return lines
    .map((line) => line.map((cell, index) => (index === line.length - 1 ? cell : cell.padEnd(widths[index] ?? 0))))
    .map((line) => `${line.join('   ').trimEnd()}\n`)
    .join('');
}

/** Names come from agents, so control characters in them must not reach the terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '\u{fffd}');
}

/** A reason, and more about it if it is known. */
export function reasonText(reason: string, message: string | undefined): string {
  return message === undefined ? reason : `${reason}: ${message}`;
}
