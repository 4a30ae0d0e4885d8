/** YAML of people beside `kubectl`: the same documents are taken, with the same values; and what settings are besides. */

import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { ExactNumber, isJsonObject, parseJson } from '../../src/documents/exact-json.js';
import { readManifests, readSettings, writeYaml, YamlError } from '../../src/documents/yaml.js';
import { clusterTools } from '../services/helm.js';

const tools = await clusterTools();
const kubectlsAtOnce = 3;

/** Documents by what the corpus calls them. */
function corpus(): Map<string, string[]> {
  const sections = new Map<string, string[]>();
  let section: string[] = [];
  for (const line of readFileSync(new URL('yaml-corpus.txt', import.meta.url), 'utf8')
    .split('\n')
    .slice(0, -1)) {
    if (line.startsWith('## ')) sections.set(line.slice(3), (section = []));
    else section.push(decoded(line));
  }
  return sections;
}

const object = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n';

function decoded(line: string): string {
  return line
    .replaceAll('OBJECT', object)
    .replaceAll('JSON', '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}')
    .replaceAll(/[⏎⇥␍␘]/gu, (mark) => ({ '⏎': '\n', '⇥': '\t', '␍': '\r' })[mark] ?? '\uFEFF');
}

/** What kubectl sends of it: the objects, or undefined when it refuses. Annotating by nothing changes nothing. */
async function byKubectl(document: string): Promise<unknown[] | undefined> {
  if (typeof tools === 'string') throw new Error(tools);
  try {
    const args = ['--kubeconfig=/dev/null', 'annotate', '--local', '--filename=-', '--output=json', 'none-'];
    const printed = await tools.kubectl(args, { stdin: document });
    return printed
      .split(/(?<=^\}\n)(?=\{)/mu)
      .map((text) => comparable(parseJson(text.replace('"annotations": {},', ''))));
  } catch {
    return undefined;
  }
}

function byUs(document: string): unknown[] | undefined {
  try {
    return readManifests(document).map(comparable);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    return undefined;
  }
}

/** kubectl has integers of 64 bits and doubles; what it rounds, we do not. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable);
  if (isJsonObject(value))
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, comparable(each)]));
  if (!(value instanceof ExactNumber)) return value === 0 ? 0 : value;
  const isInteger = /^-?\d+$/u.test(value.text) && BigInt(value.text) === BigInt.asIntN(64, BigInt(value.text));
  return isInteger && value.text !== '-0' ? value.text : Number(value.text) + 0;
}

test('YAML is read as kubectl reads it', { skip: typeof tools === 'string' && tools }, async (t) => {
  const documents = [...corpus()].flatMap(([section, lines]) =>
    lines.map((line) => {
      const whole = section.includes('documents') ? line : undefined;
      const field = section.includes('fields') ? `${object}data:\n  ${line}\n` : undefined;
      return { section, document: whole ?? field ?? `${object}data: ${line}\nlist:\n- ${line}\n` };
    }),
  );
  t.ok(documents.length > 350, `${documents.length} documents`);
  const next = documents.values();
  const compare = async (): Promise<void> => {
    for (const { section, document } of next) {
      const [kubectl, ours] = [await byKubectl(document), byUs(document)];
      const what = `${section}: ${JSON.stringify(document)}`;
      if (section.includes('only we')) t.ok(kubectl === undefined && ours !== undefined, what);
      else if (section.includes('only kubectl')) t.ok(kubectl !== undefined && ours === undefined, what);
      else {
        t.strictSame(ours, kubectl, what);
        t.equal(ours === undefined, section.startsWith('refused'), what);
      }
    }
  };
  await Promise.all(Array.from({ length: kubectlsAtOnce }, compare));
});

test('kubeconfigs are read as kubectl reads them', { skip: typeof tools === 'string' && tools }, async (t) => {
  if (typeof tools === 'string') return;
  const config =
    'apiVersion: v1\nkind: Config\nclusters:\n- name: a\n  cluster: {server: "https://a"}\nusers:\n- name: u\n';
  const users = [
    ...['{token: one, token: two}', '{token: !foo 1}', '{token: !!binary b25l}', '{token: "0400", tokenFile: 1:30}'],
    ...['{token: one}\n---\nkind: Other', '{token: one}\n---', '{token: one}\n...', '\n    token: |\n      one\n'],
    ...['&x {token: one}\n- name: v\n  user: {<<: *x, username: me}', '{exec: {args: ["yes", "1_000"]}}'],
    ...[
      '{as: me, as-uid: "1", as-groups: [a, b], as-user-extra: {a: [b]}}',
      '{token: a}\nusers: [{name: w, user: {}}]',
    ],
  ];
  const whole = users.map((user) => `${config}  user: ${user}\n`);
  const [first = ''] = whole;
  const json = JSON.stringify({ apiVersion: 'v1', kind: 'Config', users: [{ name: 'u', user: { token: 't' } }] });
  for (const text of [
    ...whole,
    json,
    `${json}\n---\n`,
    `\uFEFF# comment\n---\n${first}`,
    first.replaceAll('\n', '\r\n'),
  ]) {
    const directory = t.testdir({ config: text });
    const args = ['--kubeconfig', `${directory}/config`, 'config', 'view', '--raw', '--output=json'];
    const kubectl = JSON.parse(await tools.kubectl(args)) as { users: unknown };
    const [ours] = byUs(text) as [{ users: unknown }];
    // kubectl adds fields of plugins that are not set.
    t.match(kubectl.users, ours.users, JSON.stringify(text));
  }
});

test('an error says where and what, and nothing of the document', (t) => {
  const cases: readonly [string, RegExp][] = [
    ['a: 1\nb: [hunter2\n', /^line \d: the indentation is wrong, or a bracket/],
    ['a: 1\n\thunter2: 2\n', /^line 2: tabs cannot indent/],
    ['a: *hunter2\n', /^line 1: unknown alias/],
    ['a: &x [hunter2, *x]\n', /^line 1: this alias refers to itself/],
    ['a: 1\n<<: hunter2\n', /^line 2: << needs a map/],
    ['a: 1\n[hunter2]: 2\n', /^line 2: a key must be text/],
    ['a: !!int hunter2\n', /^line 1: the value does not match its tag/],
    ['a: 1\n\nb: .inf # hunter2\n', /^line 3: infinity/],
    [`a: ${'['.repeat(50_000)}hunter2`, /nested too deeply/],
  ];
  for (const [text, message] of cases) {
    for (const read of [readManifests, readSettings]) {
      t.throws(() => read(text), { name: 'YamlError', message }, text.slice(0, 40));
      t.throws(() => read(text), { message: /^(?!.*hunter2)/su });
    }
  }
  t.throws(() => readManifests('{"a": 1}\n---\na: .inf\n'), { message: /^line 3: infinity/ }, 'behind JSON');
  t.end();
});

test('settings: one document, each key once, known tags; every field with its line', (t) => {
  const text = '---\nx: &x {mode: 0400}\n\nlist:\n- name: a\n  <<: *x\n- off\nbig: 9007199254740993\n---\n# the end\n';
  const { value, lines } = readSettings(text);
  t.strictSame(value, { x: { mode: 256 }, list: [{ name: 'a', mode: 256 }, false], big: '9007199254740993' });
  t.same(Object.fromEntries(lines), {
    ...{ x: 2, 'x.mode': 2, list: 4, 'list[0]': 5, 'list[0].name': 5, 'list[0].mode': 2, 'list[1]': 7, big: 8 },
  });
  t.strictSame(readSettings('a: 0123\nb: yes\nc: 1e3\nd:\n', 'text').value, { a: '0123', b: 'yes', c: '1e3', d: '' });
  t.equal(readSettings('# nothing\n').value, null);
  t.throws(() => readSettings('a: 1\nb: 2\na: 3\n'), { message: 'line 3: this key appears twice' });
  t.throws(() => readSettings('a: 1\n---\nb: 2\n'), { message: /^line 2: expected a single document/ });
  t.throws(() => readSettings('a: 1\nb: !secret x\n'), { message: /^line 2: unknown tag/ });
  t.end();
});

test('what is written is read again as it was, by YAML 1.1 too', (t) => {
  const value = {
    yes: 'yes',
    mode: '0400',
    time: '1:30',
    number: '1_000',
    big: new ExactNumber('9007199254740993'),
    n: [1.5],
  };
  t.strictSame(readManifests(writeYaml(value)), [value]);
  t.end();
});
