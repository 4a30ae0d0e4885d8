/** What the pages about installing say exists: settings, values, files, and values files that render. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import Type, { type TObject, type TSchema } from 'typebox';
import { parse } from 'yaml';
import { agentValues } from '../../helm/generator/agent-values.js';
import { gatewayValues } from '../../helm/generator/gateway-values.js';
import { agentSchema } from '../../src/agent/configuration/schema.js';
import { aliases, unused } from '../../src/gateway/config/foreign.js';
import { leaves, sections } from '../../src/gateway/config/leaves.js';
import { objectOf, render, toolsOrSkip, type Values } from './rendering.js';

const project = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(join(project, path), 'utf8');

const pages = [
  ...[
    'docs/install.md',
    'docs/migrate-from-armory.md',
    'docs/spinnaker.md',
    'docs/decisions/0060-charts.md',
    'k8s/README.md',
    'k8s/gateway/gateway.yml',
  ],
  ...['agent-gateway', 'agent'].flatMap((chart) => {
    const templates = readdirSync(join(project, `helm/${chart}/templates`), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => relative(join(project, `helm/${chart}`), join(parentPath, name)));
    return ['README.md', 'values.yaml', ...templates].map((name) => `helm/${chart}/${name}`);
  }),
  ...['aws-nlb', 'gcp', 'azure'].map((name) => `helm/agent-gateway/examples/${name}.yaml`),
];

test('settings that are named exist', (t) => {
  const known = (key: string): boolean =>
    [leaves, sections, aliases, unused].some((map) => map.has(key)) ||
    [...unused.keys()].some((prefix) => key.startsWith(`${prefix}.`));
  let found = 0;
  for (const page of pages) {
    for (const [, key = ''] of read(page).matchAll(/\b(?:config\.)?(kubesvc(?:\.[a-z][\w-]*)+)(?![\w/-]|\.[a-z*])/g)) {
      if (/^kubesvc\.(sql|yml)$/.test(key)) continue;
      t.ok(known(key), `${page}: ${key}`);
      found += 1;
    }
  }
  t.ok(found > 15, `${found} were named`);
  t.end();
});

test('settings of the agent that its chart names exist', (t) => {
  const known = new Set(valueNames(agentSchema));
  const named = pages
    .filter((page) => page.startsWith('helm/agent/'))
    .flatMap((page) =>
      [...read(page).matchAll(/(?<!\$)\bconfig\.([a-z]\w*(?:\.[a-z]\w*)*)/g)].map(([, name = '']) => name),
    )
    .filter((name) => name !== 'yaml');
  t.ok(named.length > 5, `${named.length} were named`);
  t.same(
    named.filter((name) => !known.has(name)),
    [],
  );
  t.end();
});

function* valueNames(schema: TObject, prefix = ''): Generator<string> {
  for (const [name, child] of Object.entries<TSchema>(schema.properties)) {
    yield `${prefix}${name}`;
    if (Type.IsObject(child)) yield* valueNames(child, `${prefix}${name}.`);
  }
}

test('values that are named exist', (t) => {
  const gateway = new Set(valueNames(gatewayValues));
  const agent = new Set(valueNames(agentValues));
  const sectionsOfValues = [...gateway, ...agent].filter((name) => !name.includes('.') && name !== 'config');
  const pattern = new RegExp(`\`((?:${[...new Set(sectionsOfValues)].join('|')})(?:\\.[a-z]\\w*)+)[\`:=]`, 'g');
  let found = 0;
  for (const page of pages.filter((name) => name.endsWith('.md'))) {
    for (const [, name = ''] of read(page).matchAll(pattern)) {
      if (/^tls\.(crt|key)$/.test(name)) continue;
      // sql.* and redis.* are settings as well.
      const isSetting = [...leaves.keys(), ...aliases.keys()].some((one) => one === name || one.startsWith(`${name}.`));
      t.ok(gateway.has(name) || agent.has(name) || isSetting, `${page}: ${name}`);
      found += 1;
    }
  }
  t.ok(found > 15, `${found} were named`);
  t.end();
});

test('metrics that the charts name exist', (t) => {
  const known = new Set([...read('docs/metrics.md').matchAll(/`(agent_gateway_\w+)`/g)].map(([, name]) => name));
  const named = pages.flatMap((page) => [...read(page).matchAll(/\b(agent_gateway_\w+)/g)].map(([, name]) => name));
  t.ok(named.length > 4);
  t.same(
    named.filter((name) => !known.has(name)),
    [],
  );
  t.end();
});

test('files that are named exist', (t) => {
  for (const page of pages.filter((name) => name.endsWith('.md'))) {
    const text = read(page);
    for (const [, target = ''] of text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      t.ok(existsSync(join(project, dirname(page), target)), `${page}: ${target}`);
    }
    for (const [, path = ''] of text.matchAll(/(?<![\w/])((?:helm|k8s)\/[a-z][\w/.-]*\w)/g)) {
      t.ok(existsSync(join(project, path)), `${page}: ${path}`);
    }
  }
  t.end();
});

test('values files of the pages render, and the commands name what comes out', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  const text = read('docs/install.md');
  const values = new Map(
    [...text.matchAll(/```yaml\n# ([\w-]+\.yaml)\n([\s\S]*?)```/g)].map(([, name = '', yaml = '']) => [
      name,
      parse(yaml) as Values,
    ]),
  );
  t.same([...values.keys()], ['gateway-values.yaml', 'agent-values.yaml']);
  const gateway = await render(tools, 'agent-gateway', values.get('gateway-values.yaml')!, {
    release: 'gateway',
    namespace: 'gateway',
  });
  const agent = await render(tools, 'agent', values.get('agent-values.yaml')!, { release: 'shop', namespace: 'agent' });
  const names = new Set([...gateway, ...agent].map(({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}`));
  for (const [, name = ''] of text.matchAll(/\b((?:deployment|service)\/[a-z-]+)/g)) t.ok(names.has(name), name);
  t.match(text, `service ${objectOf(gateway, 'Service', /grpc$/).metadata.name}\n`);
  for (const chart of ['agent-gateway', 'agent']) {
    const [, yaml = ''] = /<<'YAML'\n([\s\S]*?)YAML/.exec(read(`helm/${chart}/README.md`)) ?? [];
    t.ok((await render(tools, chart, parse(yaml) as Values)).length > 3, `the example of helm/${chart}/README.md`);
  }
});
