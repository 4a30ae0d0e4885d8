/**
 * Configuration files as people have them, after public pages. Each says in its first lines where it is from and what is
 * right: taken, with these values and these keys without effect, or refused with these words.
 */

import { readFileSync, readdirSync } from 'node:fs';
import { test, type Test } from 'tap';
import { parseAgentConfiguration } from '../../src/agent/configuration/read.js';
import { loadConfig } from '../../src/gateway/config/config.js';

const fixtures = new URL('../fixtures/configuration/', import.meta.url);

interface Sample {
  readonly name: string;
  readonly path: string;
  readonly text: string;
  /** What the first lines say, by word. */
  readonly says: (word: string) => string[];
}

function samples(folder: string): Sample[] {
  const directory = new URL(`${folder}/`, fixtures);
  return readdirSync(directory)
    .sort()
    .map((name) => {
      const path = new URL(name, directory).pathname;
      const text = readFileSync(path, 'utf8');
      const head = text.split('\n').filter((line) => line.startsWith('# '));
      const says = (word: string): string[] =>
        head.filter((line) => line.startsWith(`# ${word}: `)).map((line) => line.slice(word.length + 4));
      return { name, path, text, says };
    });
}

interface Taken {
  readonly configuration: unknown;
  readonly withoutEffect: readonly string[];
}

function compare(t: Test, { says }: Sample, take: () => Taken): void {
  const [right] = says('right');
  t.ok(says('source').length === 1 && (right === 'taken' || right === 'refused'), 'it says what is right');
  let taken: Taken;
  try {
    taken = take();
  } catch (error) {
    const lines = (error as Error).message.split('\n').map((line) => line.replace(/^ {2}- /u, ''));
    if (right === 'taken') t.fail(lines.join('\n'));
    for (const words of says('says')) {
      t.ok(
        lines.some((line) => line.includes(words)),
        `${words}\n${lines.join('\n')}`,
      );
    }
    return;
  }
  t.equal(right, 'taken');
  for (const value of says('value')) {
    const [key = '', json = ''] = value.split(/ = (.*)/u);
    t.same(valueAt(taken.configuration, key), JSON.parse(json), key);
  }
  const ignored = (says('without effect')[0] ?? '').split(', ').filter((key) => key !== '');
  t.same([...taken.withoutEffect].sort(), ignored.sort());
}

function valueAt(configuration: unknown, key: string): unknown {
  const path = key.split(/[.[\]]+/u).filter((part) => part !== '');
  return path.reduce<unknown>((node, part) => (node as Record<string, unknown> | undefined)?.[part], configuration);
}

for (const sample of samples('agent')) {
  test(`agent: ${sample.name}`, (t) => {
    compare(t, sample, () => {
      const { configuration, warnings } = parseAgentConfiguration(sample.text, sample.name, {});
      t.ok(warnings.length <= 1, 'one warning at most');
      const list = warnings[0]?.replace(/^no effect here: /u, '') ?? '';
      return { configuration, withoutEffect: [...list.matchAll(/(?:^|\), )(\S+) \(/gu)].map(([, key = '']) => key) };
    });
    t.end();
  });
}

for (const sample of samples('gateway')) {
  test(`gateway: ${sample.name}`, (t) => {
    compare(t, sample, () => {
      const flags = ['--server.auth.anonymousRole=admin'];
      const { config, warnings } = loadConfig({ file: sample.path, environment: {}, flags });
      const withoutEffect = warnings.flatMap((warning) => /^(\S+): .*no effect, /u.exec(warning)?.[1] ?? []);
      return { configuration: config, withoutEffect };
    });
    t.end();
  });
}

test('the corpus is large enough', (t) => {
  t.ok(samples('agent').length >= 20);
  t.ok(samples('gateway').length >= 20);
  t.end();
});
