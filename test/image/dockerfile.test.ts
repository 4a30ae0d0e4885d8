/** The Dockerfile: linted, and its commands lead to a program that runs. */

import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'tap';
import { gatewayValues } from '../../helm/generator/gateway-values.js';
import { hadolint } from '../services/hadolint.js';
import { longTermNode } from '../services/node.js';
import { buildImage } from './build.js';

const run = promisify(execFile);
const project = fileURLToPath(new URL('../../', import.meta.url));

/** Packages at the top of node_modules. */
function packagesIn(modules: string): string[] {
  const names = readdirSync(modules).filter((name) => !name.startsWith('.'));
  return names.flatMap((name) =>
    name.startsWith('@') ? readdirSync(join(modules, name)).map((part) => `${name}/${part}`) : [name],
  );
}

test('hadolint has nothing to say', async (t) => {
  const lint = await hadolint();
  if (typeof lint === 'string') {
    t.pass(`skipped: ${lint}`, { skip: lint });
    return;
  }
  t.equal(await lint(join(project, 'Dockerfile')), '');
});

test('it has the Node.js on which a part of the suite runs', (t) => {
  const text = readFileSync(join(project, 'Dockerfile'), 'utf8');
  const images = [...text.matchAll(/^ARG \w+_IMAGE=.*\/(?:node:|nodejs)(\d+)-/gmu)].map(([, major]) => major);
  const major = longTermNode.split('.')[0];
  t.same(images, [major, major]);
  t.end();
});

test('what it builds runs, as the user that the charts expect, with nothing in it that is not needed', async (t) => {
  const { root, user, entrypoint, command, labels } = await buildImage(t, project);
  const app = join(root, 'app');
  t.same(entrypoint, ['/nodejs/bin/node', '/app/dist/main.js']);
  t.same(command, ['serve']);
  const context = gatewayValues.properties['podSecurityContext'] as {
    default?: { runAsUser: number; runAsGroup: number };
  };
  t.equal(user, `${context.default?.runAsUser}:${context.default?.runAsGroup}`);

  const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
    version: string;
    dependencies: Record<string, string>;
  };
  const version = await run(process.execPath, [join(root, entrypoint[1] ?? ''), '--version'], { cwd: root });
  t.equal(version.stdout.trim(), manifest.version);
  // Loads everything that a replica needs, and finds nothing wrong but a database that is not there.
  const flags = [
    '--server.auth.anonymousRole=admin',
    '--kubesvc.cluster=static',
    '--kubesvc.cluster-static.instances=http://127.0.0.1:7002',
  ];
  const doctor = run(process.execPath, [
    join(app, 'dist/main.js'),
    'doctor',
    ...flags,
    '--sql.url=mysql://127.0.0.1:1/x',
    '--sql.user=x',
  ]);
  await t.rejects(doctor, { stdout: /sql/, code: 1 });

  t.same(readdirSync(app).sort(), ['LICENSE', 'dist', 'node_modules', 'package.json', 'sbom.spdx.json']);
  for (const name of Object.keys(manifest.dependencies)) t.ok(existsSync(join(app, 'node_modules', name)), name);
  for (const name of ['typescript', 'tap', 'eslint', 'tsx']) t.notOk(existsSync(join(app, 'node_modules', name)), name);
  const sbom = JSON.parse(readFileSync(join(app, 'sbom.spdx.json'), 'utf8')) as { packages: { name: string }[] };
  const listed = new Set(sbom.packages.map(({ name }) => name));
  t.same(
    packagesIn(join(app, 'node_modules')).filter((name) => !listed.has(name)),
    [],
    'packages that the SBOM lacks',
  );
  for (const name of Object.keys(manifest.dependencies)) t.ok(listed.has(name), `${name} is in the SBOM`);
  for (const label of ['title', 'licenses', 'version', 'revision'])
    t.ok(labels.has(`org.opencontainers.image.${label}`));
});
