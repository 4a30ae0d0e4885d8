/**
 * Which test files a change can break, for `npm test -- --changed`. One rule finds the ways by which a file depends on another one:
 * its strings. What it imports, starts as a process (`../../src/main.ts`), and reads (a page of docs/, a chart, a fixture) it has to
 * name, from where it lies or, outside src/, from the top of the repository; a folder stands for all that is in it, and a script in
 * Python for its folder. Imports of types alone do not count: they are gone when the file runs, and `npm run check` looks at them.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import ts from 'typescript';
import { firstNames } from '../src/core/first-names.js';

/** These change what every file runs with. */
const ofEverything: ReadonlySet<string> = new Set(['package.json', 'package-lock.json', 'tsconfig.json']);
/** Reads every file, by walking over all of them. */
const readsEverything = 'test/signposts.test.ts';

/** Lines of an explanation, and test files on each. */
const shownChanges = 12;
const shownTests = 3;

/** A changed file, and the test files that depend on it, the nearest ones first. */
export interface ChangedFile {
  readonly file: string;
  readonly tests: readonly string[];
}

/** A repository as this looks at it. */
export interface SourceTree {
  /** All files, from the top of the repository. */
  readonly files: readonly string[];
  readonly read: (file: string) => string;
  /** Packages that stand for files (tsconfig.json, `paths`). */
  readonly aliases: ReadonlyMap<string, readonly string[]>;
}

/** @throws Error when git does not know the revision */
export function changedFiles(
  revision: string | undefined,
  directory = '.',
): { readonly base: string; readonly files: readonly string[] } {
  const git = gitIn(directory);
  let base: string;
  try {
    base = git('rev-parse', '--short', revision ?? git('merge-base', 'main', 'HEAD').trim()).trim();
  } catch (cause) {
    throw new Error(`git does not know the revision ${revision ?? 'main'}; name another one: --changed=REVISION`, {
      cause,
    });
  }
  const tracked = git('diff', '--name-only', '--no-renames', '--relative', '-z', base);
  const untracked = git('ls-files', '--others', '--exclude-standard', '-z');
  return { base, files: names(tracked + untracked) };
}

/** This repository: the files that git knows or would add. */
export function sourceTree(): SourceTree {
  const files = names(gitIn('.')('ls-files', '--cached', '--others', '--exclude-standard', '-z')).filter(existsSync);
  const read = (file: string): string => readFileSync(file, 'utf8');
  const { config } = ts.parseConfigFileTextToJson('tsconfig.json', read('tsconfig.json')) as {
    readonly config: { readonly compilerOptions: { readonly paths: Readonly<Record<string, readonly string[]>> } };
  };
  return { files, read, aliases: new Map(Object.entries(config.compilerOptions.paths)) };
}

/** The files that have to run, those first that are nearest to a change. */
export function nearestTests(changes: readonly ChangedFile[]): readonly string[] {
  const longest = Math.max(0, ...changes.map(({ tests }) => tests.length));
  const places = Array.from({ length: longest }, (_, place) => changes.flatMap(({ tests }) => tests[place] ?? []));
  return [...new Set(places.flat())];
}

/** What a person is told: which files, and why. */
export function explanation(base: string, changes: readonly ChangedFile[], all: number): string {
  const count = String(nearestTests(changes).length);
  const lines = changes.slice(0, shownChanges).map(({ file, tests }) => {
    return `  ${file}: ${firstNames(tests, shownTests) || 'none'}`;
  });
  const others = changes.length - shownChanges;
  if (others > 0) lines.push(`  and ${String(others)} more files`);
  const head = `${String(changes.length)} files changed since ${base}; ${count} of ${String(all)} test files can break by that, the nearest first`;
  return `${[head, ...lines].join('\n')}\n`;
}

/** @returns one item for each changed file, in their order */
export function testsOf(changed: readonly string[], tree: SourceTree): readonly ChangedFile[] {
  const present = new Set(tree.files);
  const known = new Set([...tree.files, ...changed]);
  const dependents = new Map<string, string[]>();
  for (const file of tree.files) {
    if (!/\.[jt]s$/.test(file)) continue;
    for (const path of new Set(dependencies(file, tree.read(file), known, tree.aliases))) {
      const list = dependents.get(path);
      if (list === undefined) dependents.set(path, [file]);
      else list.push(file);
    }
  }
  const tests = tree.files.filter(isTest);
  const walking = tests.filter((file) => file === readsEverything);
  return changed.map((file) => {
    // One that was deleted does not run.
    const own = [...nearestFirst(file, dependents)].filter((path) => isTest(path) && present.has(path));
    return { file, tests: ofEverything.has(file) ? tests : [...new Set([...own, ...walking])] };
  });
}

/** Files and folders (with `/` at their end) that a file names. */
function* dependencies(
  file: string,
  source: string,
  known: ReadonlySet<string>,
  aliases: SourceTree['aliases'],
): Generator<string> {
  for (const text of strings(source)) {
    yield* (aliases.get(text) ?? []).map((path) => normalize(path));
    if (!/^[\w@.-]+(?:\/[\w@.-]+)*\/?$/.test(text)) continue;
    const places = [join(dirname(file), text), ...(file.startsWith('src/') ? [] : [normalize(text)])];
    for (const place of places) {
      const path = [place, place.replace(/\.js$/, '.ts')].find((candidate) => known.has(candidate));
      // One word may be anything; a folder is told by a slash. The top of the repository is where others are named from.
      if (path?.endsWith('.py') === true) yield `${dirname(path)}/`;
      else if (path !== undefined) yield path;
      else if (text.includes('/') && /\w/.test(place)) yield `${place.replace(/\/$/, '')}/`;
    }
  }
}

/** All strings of a source but those of type imports; of one with `${...}` the folders before it. */
function* strings(source: string): Generator<string> {
  const nodes: ts.Node[] = [ts.createSourceFile('file.ts', source, ts.ScriptTarget.Latest)];
  for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
    const types =
      (ts.isImportDeclaration(node) && node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword) ||
      (ts.isExportDeclaration(node) && node.isTypeOnly);
    if (types) continue;
    if (ts.isStringLiteralLike(node)) yield node.text;
    else if (ts.isTemplateHead(node)) yield node.text.slice(0, node.text.lastIndexOf('/') + 1);
    ts.forEachChild(node, (child) => void nodes.push(child));
  }
}

/** What depends on the file or on a folder that it is in, directly or by others. */
function nearestFirst(file: string, dependents: ReadonlyMap<string, readonly string[]>): ReadonlySet<string> {
  const found = new Set([file]);
  for (const path of found) {
    const folders = path
      .split('/')
      .slice(0, -1)
      .map((_, index, parts) => `${parts.slice(0, index + 1).join('/')}/`);
    for (const place of [path, ...folders]) for (const dependent of dependents.get(place) ?? []) found.add(dependent);
  }
  return found;
}

export function isTest(file: string): boolean {
  return file.startsWith('test/') && file.endsWith('.test.ts');
}

function names(output: string): string[] {
  return [...new Set(output.split('\0').filter((name) => name !== ''))].sort();
}

function gitIn(directory: string): (...args: readonly string[]) => string {
  return (...args) =>
    execFileSync('git', args, {
      cwd: directory,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 64 << 20,
    });
}
