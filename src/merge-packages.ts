/**
 * A step of `npm run build`: puts copies of some packages, whose hundreds of module files are merged into a few, beside the
 * program, where Node.js looks first (dist/node_modules). To find, read and link a file costs a start about 0.2 ms. Without the
 * copies the program runs just as well, on the packages themselves.
 */

import { copyFile, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** By package, the paths that are imported. By the program alone: what another package imports would be loaded twice. */
const merged: Readonly<Record<string, readonly string[]>> = {
  '@bufbuild/protobuf': ['.', './codegenv2', './reflect', './wire', './wkt'],
  '@fastify/type-provider-typebox': ['.'],
  jose: ['.'],
  kysely: ['.'],
  typebox: ['.', './compile', './value'],
};

interface Manifest {
  readonly version: string;
  readonly license: string;
}

const project = fileURLToPath(new URL('..', import.meta.url));
const copies = fileURLToPath(new URL('node_modules/', import.meta.url));

const fileOf = (path: string): string => (path === '.' ? './index' : path);
const imports = Object.entries(merged).flatMap(([name, paths]) => paths.map((path) => ({ name, path })));

await rm(copies, { recursive: true, force: true });
await build({
  absWorkingDir: project,
  entryPoints: Object.fromEntries(imports.map(({ name, path }) => [join(name, fileOf(path)), join(name, path)])),
  outdir: copies,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  legalComments: 'inline',
  outExtension: { '.js': '.mjs' },
  logLevel: 'warning',
});
for (const [name, paths] of Object.entries(merged)) {
  const [from, to] = [join(project, 'node_modules', name), join(copies, name)];
  const { version, license } = JSON.parse(await readFile(join(from, 'package.json'), 'utf8')) as Manifest;
  const exports = Object.fromEntries(paths.map((path) => [path, `${fileOf(path)}.mjs`]));
  await writeFile(join(to, 'package.json'), JSON.stringify({ name, version, license, exports }));
  const licences = (await readdir(from)).filter((file) => /^licen[cs]e/iu.test(file));
  for (const file of licences) await copyFile(join(from, file), join(to, file));
}
