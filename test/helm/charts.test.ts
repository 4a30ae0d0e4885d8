/** What holds for both charts: lint, every option, notes. */

import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { join } from 'node:path';
import { test } from 'tap';
import Type, { type TObject, type TSchema } from 'typebox';
import { parse } from 'yaml';
import { agentValues } from '../../helm/generator/agent-values.js';
import { gatewayValues } from '../../helm/generator/gateway-values.js';
import { agentRows } from './agent-values.js';
import { gatewayRows } from './gateway-values.js';
import { helmDirectory, parseObjects, render, toolsOrSkip, type Values } from './rendering.js';

interface Chart {
  readonly schema: TObject;
  readonly rows: Readonly<Record<string, Values>>;
}

const charts: Readonly<Record<string, Chart>> = {
  'agent-gateway': { schema: gatewayValues, rows: gatewayRows },
  agent: { schema: agentValues, rows: agentRows },
};

/** The options of a chart by dotted name, with their defaults. */
function* options(schema: TObject, prefix = ''): Generator<[string, unknown]> {
  for (const [name, child] of Object.entries<TSchema>(schema.properties)) {
    if (Type.IsObject(child)) yield* options(child, `${prefix}${name}.`);
    else yield [`${prefix}${name}`, (child as { readonly default?: unknown }).default];
  }
}

const at = (values: unknown, path: string): unknown =>
  path.split('.').reduce((node, name) => (node as Values | undefined)?.[name], values);

for (const [chart, { schema, rows }] of Object.entries(charts)) {
  test(`${chart}: helm lint --strict has nothing to say, whatever the values`, async (t) => {
    const tools = await toolsOrSkip(t);
    if (tools === undefined) return;
    for (const values of [{}, ...Object.values(rows)]) {
      const command = ['lint', '--strict', '--quiet', join(helmDirectory, chart), '--values', '-'];
      t.equal((await tools.helm(command, { stdin: JSON.stringify(values) })).trim(), '');
    }
  });

  test(`${chart}: every option is set once at least, and changes what is rendered`, async (t) => {
    const tools = await toolsOrSkip(t);
    if (tools === undefined) return;
    const unset = new Set([...options(schema)].map(([path]) => path));
    const without = new Set(unset);
    for (const [name, values] of Object.entries(rows)) {
      const whole = await render(tools, chart, values);
      for (const [path, standard] of options(schema)) {
        const value = at(values, path);
        if (value === undefined || isDeepStrictEqual(value, standard)) continue;
        unset.delete(path);
        if (!without.has(path)) continue;
        const reset = structuredClone(values);
        const parent = path.split('.').slice(0, -1).join('.');
        const section = (parent === '' ? reset : at(reset, parent)) as Values;
        // Taken out, so that the chart's default counts.
        Reflect.deleteProperty(section, path.split('.').at(-1)!);
        const other = await render(tools, chart, reset).catch((error: unknown) => String(error));
        if (!isDeepStrictEqual(other, whole)) without.delete(path);
        else t.comment(`${path} changes nothing in "${name}"`);
      }
    }
    t.same([...unset], [], 'options that no row of the table sets');
    t.same([...without], [], 'options that change nothing');
  });

  test(`${chart}: notes are printed for every row`, async (t) => {
    const tools = await toolsOrSkip(t);
    if (tools === undefined) return;
    for (const values of Object.values(rows)) {
      const command = ['install', 'gw', join(helmDirectory, chart), '--dry-run=client', '--values', '-'];
      const printed = await tools.helm(command, { stdin: JSON.stringify(values) });
      t.match(printed, /NOTES:[\s\S]*Wait until the (agent|gateway) is ready/);
      t.ok(parseObjects(printed.split('MANIFEST:')[1]!.split('NOTES:')[0]!).length > 3);
    }
  });
}

test('versions are those of the program', (t) => {
  const read = (path: string): string => readFileSync(join(helmDirectory, '..', path), 'utf8');
  const { version } = JSON.parse(read('package.json')) as { readonly version: string };
  for (const chart of Object.keys(charts)) {
    const { appVersion } = parse(read(`helm/${chart}/Chart.yaml`)) as { readonly appVersion: string };
    t.equal(appVersion, version, chart);
  }
  for (const base of ['gateway', 'agent'])
    t.match(read(`k8s/${base}/kustomization.yaml`), `newTag: ${version}\n`, base);
  t.match(read('Dockerfile'), `ARG VERSION=${version}\n`);
  t.end();
});
