/** The generated files of the charts, by path from the project's directory. */

import { readFileSync } from 'node:fs';
import type { TObject } from 'typebox';
import { agentValues } from './agent-values.js';
import { gatewayValues } from './gateway-values.js';
import { valuesSchema, valuesTable, valuesYaml } from './render.js';

const project = new URL('../../', import.meta.url);
const tableBegin = '<!-- values: made by npm run generate -->';
const tableEnd = '<!-- end of values -->';

const charts: ReadonlyMap<string, TObject> = new Map([
  ['agent-gateway', gatewayValues],
  ['agent', agentValues],
]);

/** What a chart takes from elsewhere in the project: Helm reads only files of the chart itself. */
const copies: ReadonlyMap<string, string> = new Map([
  ['helm/agent-gateway/files/alerts.yaml', 'k8s/monitoring/alerts.yaml'],
  ['helm/agent-gateway/files/dashboard.json', 'k8s/monitoring/dashboard.json'],
]);

export function chartFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const [name, schema] of charts) {
    const directory = `helm/${name}`;
    files.set(`${directory}/values.yaml`, valuesYaml(schema, name));
    files.set(`${directory}/values.schema.json`, valuesSchema(schema));
    files.set(`${directory}/README.md`, withTable(`${directory}/README.md`, valuesTable(schema)));
  }
  for (const [to, from] of copies) files.set(to, readFileSync(new URL(from, project), 'utf8'));
  return files;
}

function withTable(path: string, table: string): string {
  const text = readFileSync(new URL(path, project), 'utf8');
  const [before, rest] = text.split(tableBegin);
  const [, after] = rest?.split(tableEnd) ?? [];
  if (before === undefined || after === undefined) throw new Error(`${path} has no place for the table of values`);
  return `${before}${tableBegin}\n${table}\n${tableEnd}${after}`;
}
