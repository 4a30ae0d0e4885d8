/** What npm packs: the program, and every page that it names; and what an installation of it brings. */

import { execFile, spawn } from 'node:child_process';
import { cp, readFile, readdir, symlink } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'tap';
import { silentLogger } from '../src/core/logger.js';
import type * as migrations from '../src/store/migrations/migrate.js';
import type * as sql from '../src/store/sql/database.js';
import { longTermNode, nodeDirectory } from './services/node.js';
import { waitFor } from './wait.js';

const run = promisify(execFile);
const project = fileURLToPath(new URL('..', import.meta.url));

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly engines: { readonly node: string };
}

/** A package.json in dist/node_modules (src/merge-packages.ts). */
interface Copy {
  readonly name: string;
  readonly exports: Readonly<Record<string, string>>;
}

/** A package in package-lock.json. */
interface Locked {
  readonly dev?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

async function json<T>(file: string): Promise<T> {
  return JSON.parse(await readFile(file, 'utf8')) as T;
}

/** Packages of an installation: name and major version, with the version. */
async function installed(directory: string): Promise<Map<string, string>> {
  const { packages } = await json<{
    packages: Record<string, { version?: string; dev?: boolean; optional?: boolean }>;
  }>(join(directory, 'package-lock.json'));
  const found = new Map<string, string>();
  for (const [path, { version = '', dev }] of Object.entries(packages)) {
    if (path === '' || dev === true) continue;
    found.set(`${path.slice(path.lastIndexOf('node_modules/') + 13)}@${version.split('.')[0] ?? ''}`, version);
  }
  return found;
}

/** Runs npm on a Node.js, which refuses packages that do not run on it. */
async function strictly(node: string, cwd: string, ...args: readonly string[]): Promise<void> {
  const { stdout } = await run('which', ['npm']);
  const flags = ['--engine-strict', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
  const env = { ...process.env, PATH: `${node}${delimiter}${process.env['PATH'] ?? ''}` };
  await run(join(node, 'node'), [stdout.trim(), ...args, ...flags], { cwd, env, timeout: 300_000 });
}

test('the package', async (t) => {
  const manifest = await json<Manifest>(join(project, 'package.json'));
  const oldest = await nodeDirectory(`${manifest.engines.node.replace('>=', '')}.0`);
  const longTerm = await nodeDirectory(longTermNode);

  // A copy, so that it is built from these sources, as `npm publish` does it.
  const directory = t.testdir({ checkout: {}, empty: { 'package.json': '{ "private": true }' } });
  const [checkout, empty] = [join(directory, 'checkout'), join(directory, 'empty')];
  for (const name of ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'README.md', 'LICENSE'])
    await cp(join(project, name), join(checkout, name));
  for (const name of ['src', 'docs', 'proto']) await cp(join(project, name), join(checkout, name), { recursive: true });
  await symlink(join(project, 'node_modules'), join(checkout, 'node_modules'));
  const packed = await run('npm', ['pack', '--json', '--pack-destination', directory], {
    cwd: checkout,
    timeout: 300_000,
  });
  const [archive] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf('[\n'))) as [
    { filename: string; files: { path: string }[] },
  ];
  const files = new Set(archive.files.map(({ path }) => path));

  await t.test('has the program and nothing of the build', (t) => {
    t.match(manifest.name, /^@[\w-]+\/[\w-]+$/u, 'a scoped name: nobody else can publish it');
    const database = 'dist/store/sql/initial-database.tar.gz';
    for (const file of ['dist/main.js', 'dist/gateway/console/client/index.html', database, 'LICENSE', 'README.md'])
      t.ok(files.has(file), file);
    t.same(
      [...files].filter((file) => /tsbuildinfo|\.test\.|^src\/|\.png$/u.test(file)),
      [],
    );
    t.end();
  });

  await t.test(
    'has copies of packages for every path that the program imports, and for nothing but the program',
    async (t) => {
      const copies = [...files].filter((file) => /^dist\/node_modules\/.*\/package\.json$/u.test(file));
      const manifests = copies.map((file) => json<Copy>(join(checkout, file)));
      const paths = new Map((await Promise.all(manifests)).map(({ name, exports }) => [name, Object.keys(exports)]));
      t.ok(paths.has('typebox'), [...paths.keys()].join(', '));
      const sources = await readdir(join(project, 'src'), { recursive: true });
      const imports = sources
        .filter((name) => name.endsWith('.ts'))
        .map(async (name) => [
          ...(await readFile(join(project, 'src', name), 'utf8')).matchAll(
            /^import (?!type).*?from ['"]([^'".:]+)['"];/gmsu,
          ),
        ]);
      const imported = new Set((await Promise.all(imports)).flat().map(([, path = '']) => path));
      for (const [name, exported] of paths) {
        const used = [...imported].filter((path) => path === name || path.startsWith(`${name}/`));
        t.same(used.map((path) => `.${path.slice(name.length)}`).sort(), exported.toSorted(), name);
      }
      const { packages } = await json<{ packages: Record<string, Locked> }>(join(project, 'package-lock.json'));
      for (const [path, { dev, dependencies, peerDependencies }] of Object.entries(packages)) {
        if (path === '' || dev === true || paths.has(path.slice('node_modules/'.length))) continue;
        const needed = Object.keys({ ...dependencies, ...peerDependencies }).filter((name) => paths.has(name));
        t.same(needed, [], `${path} would load them again`);
      }
    },
  );

  await t.test('starts a database in memory from one that is migrated', async (t) => {
    const built = <T>(module: string) => import(join(checkout, 'dist/store', module)) as Promise<T>;
    const { openDatabase } = await built<typeof sql>('sql/database.js');
    const { migrate } = await built<typeof migrations>('migrations/migrate.js');
    const time = 60_000;
    const url = 'pglite:memory';
    const database = openDatabase({ url, maxPoolSize: 1, connectionTimeoutMs: time, queryTimeoutMs: time });
    t.teardown(() => database.close());
    t.same(await migrate(database, { logger: silentLogger, signal: AbortSignal.timeout(time) }), []);
  });

  await t.test('has the pages that messages name', async (t) => {
    const sources = await readdir(join(project, 'src'), { recursive: true });
    let named = 0;
    for (const name of sources.filter((one) => one.endsWith('.ts'))) {
      const text = (await readFile(join(project, 'src', name), 'utf8')).replaceAll(/^\s*(\/\*)?\*.*$/gmu, '');
      for (const [page] of text.matchAll(/(?<![\w/.])docs\/[\w/-]+\.md/gu)) {
        t.ok(files.has(page), `${page}, which src/${name} names`);
        named += 1;
      }
    }
    t.ok(named > 5, `${String(named)} are named`);
  });

  await t.test('and its dependencies run on every Node.js that it claims', async (t) => {
    const locked = t.testdir({});
    for (const name of ['package.json', 'package-lock.json', '.npmrc'])
      await cp(join(project, name), join(locked, name));
    const tarball = join(directory, archive.filename);
    for (const node of [oldest, longTerm]) {
      await t.resolves(strictly(node, locked, 'ci', '--dry-run'), `package-lock.json on ${node}`);
      await t.resolves(strictly(node, empty, 'install', '--dry-run', tarball), `the package on ${node}`);
    }
    await t.rejects(
      strictly(await nodeDirectory('22.11.0'), empty, 'install', '--dry-run', tarball),
      /EBADENGINE/u,
      'an older one is refused',
    );
  });

  await t.test('installs what package-lock.json has', async (t) => {
    await strictly(oldest, empty, 'install', join(directory, archive.filename));
    const [ours, theirs] = await Promise.all([installed(project), installed(empty)]);
    theirs.delete(`${manifest.name}@${manifest.version.split('.')[0] ?? ''}`);
    // Types have no code, and come in any version.
    const others = [...theirs.keys()].filter((name) => !ours.has(name) && !/^@types\/|-types@/u.test(name));
    t.same(others, [], 'the same major versions');
    t.ok(theirs.size > 100);
  });

  for (const node of [oldest, longTerm]) {
    await t.test(`starts on ${node}`, async (t) => {
      const command = join(empty, 'node_modules/.bin/agent-gateway');
      const env = { ...process.env, PATH: `${node}${delimiter}${process.env['PATH'] ?? ''}` };
      t.equal((await run(command, ['--version'], { env })).stdout, `${manifest.version}\n`);
      const flags = ['--kubesvc.grpc.server.port=0', '--server.port=0', '--logging.format=text'];
      const child = spawn(command, ['serve', ...flags], { env });
      const ended = new Promise((resolve) => child.once('close', resolve));
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
      try {
        await waitFor(() => output.includes('Ctrl-C'), { description: 'the welcome' });
        t.match(output, '\n  agent-gateway simulate', 'the command as it is installed');
        t.notMatch(output, / (warn|error) |Warning/u, 'nothing to act on');
        const page = /http:\S+\/console/u.exec(output)?.[0] ?? '';
        t.equal((await fetch(page)).status, 200);
      } finally {
        child.kill('SIGTERM');
        t.equal(await ended, 0);
      }
    });
  }
});
