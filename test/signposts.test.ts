/**
 * Every path that docs, comments and configuration name is there, so that whoever follows one arrives; and the one table of
 * folders (docs/architecture.md) says what there is and what .dependency-cruiser.cjs allows.
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { test } from 'tap';
import { branches, commentsOf, existsIn, namedPaths, repositoryPaths } from './signposts.js';

interface Rule {
  readonly name: string;
  readonly from: { readonly path?: string; readonly pathNot?: string };
  readonly to: { readonly path?: string; readonly pathNot?: string | readonly string[] };
}

const { forbidden } = createRequire(import.meta.url)('../.dependency-cruiser.cjs') as {
  readonly forbidden: readonly Rule[];
};
const paths = repositoryPaths();
const generated = /^src\/protocol\/generated\/|_pb\.ts$|^proto\/baseline\.json$|^package-lock\.json$/;
const ours = paths.filter((path) => !path.endsWith('/') && !path.startsWith('test/fixtures/') && !generated.test(path));
/** Its own examples name what is not there. */
const self = /^test\/signposts(\.test)?\.ts$/;
// The changelog tells what was.
const prose = ours.filter((path) => path.endsWith('.md') && path !== 'CHANGELOG.md');
const code = ours.filter((path) => /^(src|test|bench|demo|docs|helm)\/.*\.(ts|js)$/.test(path) && !self.test(path));
const configuration = ours.filter(
  (path) =>
    /^[^/]*\.(json|js|ts)$|^Dockerfile$|^\.(?!dependency)|^\.ci\/run$/.test(path) ||
    /^(proto|k8s|helm)\/.*\.(proto|ya?ml|tpl|txt)$/.test(path),
);
const text = (path: string): string => readFileSync(path, 'utf8');

/** `FILE:LINE PATH` of each that is not there. */
function missing(files: readonly string[], read: (file: string) => ReturnType<typeof namedPaths>): string[] {
  const found = files.flatMap((file) =>
    read(file)
      .filter(({ path }) => !existsIn(paths, path))
      .map(({ path, line }) => `${file}:${line} ${path}`),
  );
  return [...new Set(found)];
}

test('every path that docs name exists', async (t) => {
  t.ok(prose.length > 20);
  t.same(
    missing(prose, (file) => namedPaths(text(file))),
    [],
  );
});

test('every file that docs link to exists', async (t) => {
  const broken = prose.flatMap((file) =>
    [...text(file).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)]
      .map(([, target = '']) => normalize(join(dirname(file), target)).replace(/\/$/, ''))
      .filter((target) => !paths.includes(target) && !paths.includes(`${target}/`))
      .map((target) => `${file} ${target}`),
  );
  t.same(broken, []);
});

test('every path that a comment names exists', async (t) => {
  t.ok(code.length > 300);
  t.same(
    missing(code, (file) => namedPaths(commentsOf(text(file)))),
    [],
  );
});

test('every path that a message of the program names exists', async (t) => {
  const sources = code.filter((path) => path.startsWith('src/'));
  t.same(
    missing(sources, (file) => namedPaths(text(file), 'anchored')),
    [],
  );
});

test('every path that configuration names exists', async (t) => {
  t.ok(configuration.includes('eslint.config.js') && configuration.includes('.ci/run'));
  t.same(
    missing(configuration, (file) => namedPaths(text(file))),
    [],
  );
});

test('every path that an import rule names exists', async (t) => {
  const named = forbidden.flatMap(({ name, from, to }) =>
    [from.path, from.pathNot, to.path, ...[to.pathNot ?? []].flat()]
      .filter((expression) => expression !== undefined)
      .flatMap((expression) => branches(expression))
      .filter((expression) => /^\^(src|test|bench|demo)/.test(expression))
      .map((expression) => ({ name, expression })),
  );
  t.ok(named.length > 40);
  const unmatched = named.filter(({ expression }) => !paths.some((path) => new RegExp(expression).test(path)));
  t.same(unmatched, []);
});

test('nobody cites a document that is not here', async (t) => {
  const citing = [...prose, ...code, ...configuration].filter((file) => /\bcontract, section\b/i.test(text(file)));
  t.same(citing, []);
});

const architecture = text('docs/architecture.md').split('## Folders')[1] ?? '';
const rows = [...architecture.matchAll(/^\| (`[^|]*) \| ([^|]*) \|(?: ([^|]*) \|)?$/gm)].map(
  ([, names = '', , imports]) => ({
    names: quoted(names),
    imports: imports === undefined ? undefined : quoted(imports),
  }),
);

function quoted(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name).sort();
}

test('the table of folders has every folder of src/, src/gateway/ and src/store/, and no other; so has the table of loose files', async (t) => {
  const folders = rows.filter(({ imports }) => imports !== undefined).flatMap(({ names }) => names);
  const present = paths
    .filter((path) => /^src\/((?!gateway\/$)[^/]+|(gateway|store)\/[^/]+)\/$/.test(path))
    .map((path) => path.slice(4, -1));
  t.same(folders.sort(), present.sort());
  const files = rows.filter(({ imports }) => imports === undefined).flatMap(({ names }) => names);
  const loose = paths
    .filter((path) => /^src\/gateway\/[^/]+$/.test(path))
    .map((path) => path.slice('src/gateway/'.length));
  t.same(files.sort(), loose.sort());
});

test('what the table of folders says of imports is what the check enforces', async (t) => {
  const rules = forbidden.filter(({ name }) => name.endsWith('-imports'));
  t.ok(rules.length > 8);
  for (const { name, to } of rules) {
    const folder = name.replace(/-imports$/, '');
    const allowed = [to.pathNot ?? []]
      .flat()
      .map((expression) => /^\^src\/(.*)\/$/.exec(expression)?.[1])
      .filter((other) => other !== undefined && other !== folder);
    t.same(rows.find(({ names }) => names.includes(folder))?.imports, allowed.sort(), folder);
  }
});
