/** What `npm run check` asks of dependencies: where they come from, that they are what they were, and their licences. */

import { readFileSync } from 'node:fs';
import { project, runStep } from './check-step.js';

interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly hasInstallScript?: boolean;
  readonly link?: boolean;
}

interface Lock {
  readonly packages: Readonly<
    Record<string, LockedPackage & { dependencies?: Record<string, string>; devDependencies?: Record<string, string> }>
  >;
}

/** What permits what this project does with it. */
const licences =
  /^\(?(MIT|MIT-0|ISC|Apache-2\.0|BSD-2-Clause|BSD-3-Clause|0BSD|BlueOak-1\.0\.0|Unlicense|CC0-1\.0|Python-2\.0|PSF-2\.0|PostgreSQL|Zlib)( (OR|AND) [\w.-]+)*\)?$/u;

/** Scripts that run at installation: each is known, and what it does. */
const installScripts: Readonly<Record<string, string>> = {
  '@bufbuild/buf': 'gets the binary of the platform, a development tool',
  protobufjs: 'prints a warning about versions',
  esbuild: 'checks the binary of the platform',
  fsevents: 'macOS only, of a development tool',
};

const nameOf = (path: string): string => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

/** @returns a sentence for each thing that is wrong */
export function supplyProblems(
  lock: Lock,
  manifest: { dependencies?: Record<string, string>; devDependencies?: Record<string, string> },
): string[] {
  const problems: string[] = [];
  const root = lock.packages[''] ?? {};
  for (const kind of ['dependencies', 'devDependencies'] as const) {
    for (const [name, version] of Object.entries(manifest[kind] ?? {})) {
      if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/u.test(version)) problems.push(`${name}: ${version} is not one exact version`);
      if (root[kind]?.[name] !== version) problems.push(`${name}: package-lock.json does not have ${version}`);
    }
  }
  for (const [path, found] of Object.entries(lock.packages)) {
    if (path === '' || found.link === true) continue;
    const name = nameOf(path);
    if (found.resolved !== undefined && !/^https:\/\/[^/]+\/.+\.tgz$/u.test(found.resolved))
      problems.push(`${name}: comes from ${found.resolved}, which is no package of a registry`);
    if (!/^sha512-/u.test(found.integrity ?? '')) problems.push(`${name}: has no digest`);
    if (found.hasInstallScript === true && installScripts[name] === undefined)
      problems.push(`${name}: runs a script when it is installed; say in test/supply.ts what it does`);
    if (found.dev !== true && found.devOptional !== true && !licences.test(found.license ?? ''))
      problems.push(`${name}: the licence "${found.license ?? 'none'}" is not on the list of test/supply.ts`);
  }
  return problems;
}

runStep(import.meta.url, () => {
  const read = (file: string): unknown => JSON.parse(readFileSync(project + file, 'utf8'));
  return supplyProblems(read('package-lock.json') as Lock, read('package.json') as Record<string, never>);
});
