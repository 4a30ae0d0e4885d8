/**
 * `npm test [-- FILE OR DIRECTORY ...]`: installs what the tests need, starts one MariaDB, one PostgreSQL and each MySQL for the
 * whole run, runs the test files, and closes with one line: `N passed, N failed[, N skipped]`. Ends non-zero when anything
 * failed, crashed or ran out of time, or when no test ran. Why not the command `tap`: docs/decisions/0020-test-runner.md.
 *
 * `npm test -- --changed[=REVISION]` does so with the files that a change since the revision can break (test/changed.ts); by
 * default since this branch left main.
 *
 * `npm test -- --node 24 ...` runs the files, and the programs that they start, on another Node.js (test/services/node.ts).
 */

import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { ReleaseStack } from '../src/core/release-stack.js';
import { changedFiles, explanation, isTest, nearestTests, sourceTree, testsOf } from './changed.js';
import { fileTimeoutMs } from './file-timeout.js';
import { mariaDbVariable, startMariaDb } from './services/mariadb.js';
import { kubernetesPrograms } from './services/kubernetes-program.js';
import { mySqlMissing, mySqlVariables, mySqlVersions, startMySql } from './services/mysql.js';
import { nodeDirectory } from './services/node.js';
import { ensurePackages } from './services/packages.js';
import { postgresVariable, startPostgres } from './services/postgres.js';
import { runTestFile, type FileOptions, type FileResult } from './test-file.js';

/** Files at the same time, on two cores: they wait for servers more than they compute. */
const jobs = 3;
/** More failed files than these are not a matter of the machine. */
const repeatedFiles = 3;

async function testFiles(paths: readonly string[]): Promise<string[]> {
  const files = await Promise.all(
    paths.map(async (path) => {
      if (!(await stat(path)).isDirectory()) return [path];
      const names = await readdir(path, { recursive: true });
      return names.filter((name) => name.endsWith('.test.ts')).map((name) => join(path, name));
    }),
  );
  return files.flat().sort();
}

async function runAll(files: readonly string[], options: FileOptions): Promise<FileResult[]> {
  const results: FileResult[] = [];
  const waiting = [...files];
  const work = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      options.signal.throwIfAborted();
      const result = await runTestFile(file, options);
      options.signal.throwIfAborted();
      results.push(result);
      const time = (result.durationMs / 1000).toFixed(1);
      print(
        `${result.failed > 0 ? 'not ok' : 'ok    '} ${file}: ${closingLine([result])} (${time} s)\n${result.details}`,
      );
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return results;
}

/**
 * Runs failed files once more, one after the other: what fails beside others and passes alone met a stall of the machine, or is
 * a test to mend. Its first failure stays in the output, and it is named as flaky. Many failures are not repeated: they have a
 * cause.
 */
async function repeatFailed(results: readonly FileResult[], options: FileOptions): Promise<readonly FileResult[]> {
  const failed = results.filter((result) => result.failed > 0);
  if (failed.length === 0 || failed.length > repeatedFiles) return results;
  print(`once more, alone: ${failed.map(({ file }) => file).join(', ')}\n`);
  const repeated = new Map<string, FileResult>();
  for (const { file } of failed) {
    const [result] = await runAll([file], options);
    if (result === undefined) continue;
    repeated.set(file, result);
    if (result.failed === 0) print(`flaky  ${file}: it failed beside others and passes alone; its failure is above\n`);
  }
  return results.map((result) => repeated.get(result.file) ?? result);
}

/** What the command line asks for; undefined: nothing has changed. @throws Error in words */
async function wantedFiles(args: readonly string[]): Promise<readonly string[] | undefined> {
  if (!args.some((arg) => arg.startsWith('--'))) return testFiles(args.length > 0 ? args : ['test']);
  const changed = /^--changed(?:=(.+))?$/.exec(args.join(' '));
  if (changed === null)
    throw new Error(
      `expected [--node VERSION] and files and directories, or --changed[=REVISION], got ${args.join(' ')}`,
    );
  const { base, files } = changedFiles(changed[1]);
  const tree = sourceTree();
  const changes = testsOf(files, tree);
  print(explanation(base, changes, tree.files.filter(isTest).length));
  return files.length === 0 ? undefined : nearestTests(changes);
}

/** Takes `--node VERSION` out of the arguments. */
function takeNode(args: readonly string[]): { readonly version: string | undefined; readonly rest: readonly string[] } {
  const index = args.findIndex((arg) => arg === '--node' || arg.startsWith('--node='));
  if (index === -1) return { version: undefined, rest: args };
  const inline = args[index]?.split('=')[1];
  const rest = args.toSpliced(index, inline === undefined ? 2 : 1);
  return { version: inline ?? args[index + 1] ?? '', rest };
}

async function runTests(
  files: readonly string[],
  scope: ReleaseStack,
  signal: AbortSignal,
  version: string | undefined,
): Promise<readonly FileResult[]> {
  await ensurePackages();
  const node = version === undefined ? undefined : await nodeDirectory(version);
  const kubernetes = await kubernetesPrograms();
  if (typeof kubernetes === 'string') print(`tests on Kubernetes are skipped: ${kubernetes}\n`);

  // Everything temporary goes below one directory, so that a test file that is killed leaves nothing behind either.
  const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-'));
  scope.push('temporary files', () => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  // PostgreSQL runs as a user of its own and must be able to reach its directory.
  await chmod(directory, 0o711);
  process.env['TMPDIR'] = directory;

  const mariaDb = await startMariaDb();
  scope.push('MariaDB', () => mariaDb.stop());
  const postgres = await startPostgres();
  scope.push('PostgreSQL', () => postgres.stop());
  const env: NodeJS.ProcessEnv = { ...process.env, [mariaDbVariable]: mariaDb.url, [postgresVariable]: postgres.url };
  for (const version of mySqlVersions) {
    const missing = await mySqlMissing(version);
    if (missing !== undefined) {
      print(`tests on MySQL ${version} are skipped: ${missing}\n`);
      env[mySqlVariables[version]] = missing;
      continue;
    }
    const mySql = await startMySql(version);
    scope.push(`MySQL ${version}`, () => mySql.stop());
    env[mySqlVariables[version]] = mySql.url;
  }
  // For the programs that test files start by name.
  if (node !== undefined) env['PATH'] = `${node}${delimiter}${process.env['PATH'] ?? ''}`;
  const options = {
    timeoutMs: fileTimeoutMs,
    env,
    signal,
    ...(node === undefined ? {} : { node: join(node, 'node') }),
  };
  const results = await runAll(files, options);
  return files.length > 1 ? repeatFailed(results, options) : results;
}

function closingLine(results: readonly Pick<FileResult, 'passed' | 'failed' | 'skipped'>[]): string {
  const sum = (key: 'passed' | 'failed' | 'skipped'): number =>
    results.reduce((total, result) => total + result[key], 0);
  const skipped = sum('skipped') > 0 ? `, ${sum('skipped')} skipped` : '';
  return `${sum('passed')} passed, ${sum('failed')} failed${skipped}`;
}

function print(text: string): void {
  process.stdout.write(text);
}

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    interruption.abort(new Error(`interrupted by ${signal}`));
  });
}
const scope = new ReleaseStack();
let closing = '0 passed, 1 failed';
process.exitCode = 1;
try {
  const { version, rest } = takeNode(process.argv.slice(2));
  const files = await wantedFiles(rest);
  const results = files === undefined ? [] : await runTests(files, scope, interruption.signal, version);
  if (files !== undefined && results.every((result) => result.passed + result.failed === 0))
    throw new Error('no test ran');
  closing = closingLine(results);
  if (results.every((result) => result.failed === 0)) process.exitCode = 0;
} catch (error) {
  process.stderr.write(`npm test: ${error instanceof Error ? error.message : String(error)}\n`);
}
try {
  await scope.close();
} finally {
  print(`${closing}\n`);
}
