/** What the schema of a chart's `config:` accepts is what the program accepts. */

import { test } from 'tap';
import Type, { type TSchema } from 'typebox';
import { Compile } from 'typebox/schema';
import { stringify } from 'yaml';
import { agentConfigurationSchema } from '../../helm/generator/agent-configuration-schema.js';
import { configurationSchema } from '../../helm/generator/configuration-schema.js';
import { aliases as aliasesOfAgent, unused as unusedOfAgent } from '../../src/agent/configuration/foreign.js';
import { parseAgentConfiguration } from '../../src/agent/configuration/read.js';
import { agentSchema } from '../../src/agent/configuration/schema.js';
import { aliases, unused } from '../../src/gateway/config/foreign.js';
import { leaves, sections, type Leaf } from '../../src/gateway/config/leaves.js';
import { resolveValues } from '../../src/gateway/config/values.js';
import { parseYaml } from '../../src/gateway/config/yaml.js';

const schema = Compile(configurationSchema({ leaves, sections, aliases, unused }));

/** A file with one key in it. */
function nested(key: string, value: unknown): unknown {
  return key.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
}

const texts = [
  '',
  'x',
  'true',
  'FALSE',
  ' 12 ',
  '-1',
  '12abc',
  '4MB',
  '4 mb',
  '4M',
  'local',
  'REQUIRE',
  'require',
  'none',
  'a,b',
];
const urls = [
  ...['mysql://h:3306/d', 'jdbc:mysql://h/d?useSSL=false', 'mysql://h', 'pglite:memory', 'redis://h:1', 'http://h:1'],
  ...['https://h/path', 'http://h:1/v1/traces', 'ftp://h', '1.5'],
];
const others = [
  true,
  0,
  1,
  1.5,
  3,
  12,
  1000,
  5000,
  65_535,
  70_000,
  -1,
  1e9,
  [],
  ['x'],
  ['TLSv1.3'],
  ['http://h:1'],
  null,
];

test('one value at a time, both say the same', (t) => {
  /** What the program says about it, rules between settings aside. */
  const refusal = (content: unknown): string | undefined => {
    const entries = parseYaml(stringify(content, { version: '1.1' }), 'gateway.yml', (key) => leaves.has(key));
    return resolveValues(entries).problems[0]?.message;
  };
  const differences: string[] = [];
  let refused = 0;
  let accepted = 0;
  const compare = (key: string, value: unknown, kind?: Leaf['kind']): void => {
    const content = nested(key, value);
    const message = refusal(content);
    const ok = schema.Check(content);
    if (ok) accepted += 1;
    else refused += 1;
    // A schema cannot tell how large a number is that stands in a text, nor what a list in a text consists of.
    const beyond =
      typeof value === 'string' && kind !== undefined && ['integer', 'number', 'bytes', 'list'].includes(kind);
    if (ok !== (message === undefined) && !(ok && beyond)) {
      differences.push(
        `${key}: ${JSON.stringify(value)}: the schema ${ok ? 'accepts' : 'refuses'} it, ${message ?? 'the program accepts it'}`,
      );
    }
  };
  const samples = ({ secret }: Leaf): unknown[] => (secret === true ? [null, []] : [...texts, ...urls, ...others]);
  for (const leaf of leaves.values()) for (const value of samples(leaf)) compare(leaf.key, value, leaf.kind);
  const decided = ['kubesvc.enabled', 'kubesvc.dynamicAccounts.scan'];
  for (const key of unused.keys()) {
    if (key !== 'sql.connectionPools') compare(key, decided.includes(key) ? true : 'anything');
  }
  compare('sql.connectionPools.other', 'anything');
  t.same(differences, []);
  t.ok(refused > 1_000 && accepted > 500, `${refused} refused, ${accepted} accepted`);
  t.end();
});

test('a ConfigMap holds references to secrets only', (t) => {
  for (const leaf of leaves.values()) {
    if (leaf.secret !== true) continue;
    t.ok(schema.Check(nested(leaf.key, 'file:/run/secrets/x')), leaf.key);
    t.notOk(schema.Check(nested(leaf.key, 'hunter2')), leaf.key);
    t.notOk(schema.Check(nested(leaf.key, 12)), leaf.key);
  }
  t.ok(schema.Check(nested('sql.url', 'file:/run/secrets/url')));
  t.notOk(schema.Check(nested('sql.url', 'mysql://user:hunter2@h/d')));
  t.notOk(schema.Check(nested('sql.connectionPool.jdbcUrl', 'jdbc:mysql://user:hunter2@h/d')));
  t.end();
});

test('every default is accepted', (t) => {
  for (const { key, default: value } of leaves.values()) {
    if (value !== undefined) t.ok(schema.Check(nested(key, value)), key);
  }
  t.end();
});

const agent = Compile(agentConfigurationSchema(agentSchema, aliasesOfAgent, unusedOfAgent));

/** Every setting of the agent by dotted key, those of accounts below `kubernetes.accounts.0`. */
function* agentLeaves(one: TSchema, prefix = ''): Generator<[key: string, schema: TSchema]> {
  if (Type.IsObject(one) && Object.keys(one.properties).length > 0) {
    for (const [name, child] of Object.entries<TSchema>(one.properties)) {
      yield* agentLeaves(child, prefix === '' ? name : `${prefix}.${name}`);
    }
  } else if (Type.IsArray(one) && Type.IsObject(one.items)) yield* agentLeaves(one.items, `${prefix}.0`);
  else yield [prefix, one];
}

/** The smallest file that is accepted, with one key more; `0` is the first of a list. */
function agentFile(key: string, value: unknown): unknown {
  const file = { kubernetes: { accounts: [{ name: 'a', serviceAccount: true }] } };
  let node = file as Record<string, unknown>;
  const path = key.split('.');
  const last = path.pop()!;
  for (const name of path)
    node = (node[name] ??= name === 'customResourceDefinitions' ? [{ kind: 'x' }] : {}) as typeof node;
  node[last] = value;
  return file;
}

test("the agent's file: one value at a time, both say the same", (t) => {
  const differences: string[] = [];
  let accepted = 0;
  let refused = 0;
  for (const [key, { secret }] of agentLeaves(agentSchema) as Iterable<
    [string, TSchema & { readonly secret?: boolean }]
  >) {
    for (const value of secret === true ? [null, {}, []] : [...texts, ...others, {}]) {
      const file = agentFile(key, value);
      let problem: string | undefined;
      try {
        parseAgentConfiguration(stringify(file, { version: '1.1' }), 'agent.yml', {});
      } catch (error) {
        // What only the rules between settings refuse, no schema can see.
        problem = String(error)
          .split('\n')
          .find(
            (line) =>
              !/either serviceAccount|expected both|expected one of token,/.test(line) && /expected|no such/.test(line),
          );
      }
      const ok = agent.Check(file);
      if (ok) accepted += 1;
      else refused += 1;
      // A schema cannot tell how large a number is that stands in a text.
      if (ok !== (problem === undefined) && !(ok && typeof value === 'string')) {
        differences.push(
          `${key}: ${JSON.stringify(value)}: the schema ${ok ? 'accepts' : 'refuses'} it, ${problem ?? 'the agent accepts it'}`,
        );
      }
    }
  }
  t.same(differences, []);
  t.ok(accepted > 300 && refused > 300, `${accepted} accepted, ${refused} refused`);
  for (const key of unusedOfAgent.keys())
    t.ok(agent.Check(agentFile(key.replaceAll('[]', '.0'), { anything: 1 })), key);
  for (const key of aliasesOfAgent.keys()) t.notOk(agent.Check(agentFile(key.replaceAll('[]', '.0'), [])), key);
  t.ok(agent.Check(agentFile('kubernetes.accounts.0.kubeconfigFile', '/kube/prod')));
  t.ok(agent.Check(agentFile('dynamicAccountsEnabled', false)));
  t.notOk(agent.Check(agentFile('clouddriver.grcp', 'x')));
  t.end();
});
