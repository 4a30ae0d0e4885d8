/** `--sql.url=pglite:DIRECTORY`: one gateway at a time, and what is wrong with the directory is said in one sentence. */

import { execFile, execFileSync } from 'node:child_process';
import { chmod, mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test, type Test } from 'tap';
import { Replica } from '../cluster/replica.js';
import { waitFor } from '../wait.js';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const asRoot = process.getuid?.() === 0;

async function directoryOf(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-embedded-'));
  t.teardown(() => rm(directory, { recursive: true }));
  await chmod(directory, 0o755);
  return directory;
}

/** A start that fails, as somebody who may not write everywhere. @returns standard error */
async function refused(t: Test, directory: string, user: readonly string[] = []): Promise<string> {
  const serve = [process.execPath, '--import=tsx', main, 'serve', '--kubesvc.grpc.server.port=0', '--server.port=0'];
  const [file, ...args] = [...user, ...serve, `--sql.url=pglite:${directory}`];
  const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
    // Another user may not write where the loader keeps what it has translated.
    const env = { ...process.env, TSX_DISABLE_CACHE: '1' };
    execFile(file, args, { timeout: 60_000, env }, (error, _stdout, text) => {
      resolve({ code: error?.code, stderr: text });
    });
  });
  t.equal(code, 1, stderr);
  t.equal(stderr.trimEnd().split('\n').length, 1, 'one line');
  return stderr;
}

/** @returns undefined, and skips, where nothing may be mounted */
async function smallDisk(t: Test, size: string): Promise<string | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-disk-'));
  t.teardown(() => rm(directory, { recursive: true }));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory], { stdio: 'ignore' });
  } catch {
    t.pass('a small disk', { skip: 'mounting one takes root' });
    return undefined;
  }
  t.teardown(() => execFileSync('umount', [directory]));
  return directory;
}

test('a second gateway is refused, and the next one starts right after a kill', async (t) => {
  const directory = join(await directoryOf(t), 'data');
  const settings = { 'sql.url': `pglite:${directory}` };
  const first = await Replica.spawn({ id: 'first', settings });
  t.teardown(() => first.end('SIGKILL'));
  await first.ready();
  const line = `agent-gateway: sql.url: process ${String(first.pid)} uses ${directory}, and only one process can: stop it, or name another directory\n`;
  t.equal(await refused(t, directory), line);
  t.ok((await fetch(`${first.restUrl}/readyz`)).ok, 'the first one goes on');
  await first.end('SIGKILL');

  const next = await Replica.spawn({ id: 'next', settings });
  t.teardown(() => next.end('SIGKILL'));
  await next.ready();
  t.match(
    await refused(t, directory),
    `process ${String(next.pid)} uses ${directory}`,
    'the one after the killed one is protected, too',
  );
  t.equal(await next.end('SIGTERM'), 0);
  const last = await Replica.spawn({ id: 'last', settings });
  t.teardown(() => last.end('SIGKILL'));
  await last.ready();
});

test('a directory that cannot be written', async (t) => {
  const directory = await directoryOf(t);
  const nobody = asRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'] : [];
  await mkdir(join(directory, 'data'));
  if (!asRoot) for (const each of ['data', '.']) await chmod(join(directory, each), 0o555);
  const sentence = (path: string) =>
    `agent-gateway: sql.url: no database can be kept in ${path}: this process may not write there\n`;
  for (const name of ['data', 'new'])
    t.equal(await refused(t, join(directory, name), nobody), sentence(join(directory, name)));
  if (!asRoot) await chmod(directory, 0o755);
  await writeFile(join(directory, 'file'), '');
  const below = join(directory, 'file/data');
  t.match(await refused(t, below), `no database can be kept in ${below}: it is not a directory, or below a file\n`);
});

test('a disk that is full at the start', async (t) => {
  const disk = await smallDisk(t, '20m');
  if (disk === undefined) return;
  const data = join(disk, 'data');
  t.match(await refused(t, data), `sql.url: no database can be kept in ${data}: its disk is full\n`);
});

test('a disk that becomes full: readiness says so, until there is room', async (t) => {
  const disk = await smallDisk(t, '120m');
  if (disk === undefined) return;
  const replica = await Replica.spawn({ id: 'full', settings: { 'sql.url': `pglite:${join(disk, 'data')}` } });
  t.teardown(() => replica.end('SIGKILL'));
  await replica.ready();
  await writeFile(join(disk, 'fill'), Buffer.alloc(120 << 20)).catch(() => undefined);
  const full = await fetch(`${replica.restUrl}/readyz`);
  t.equal(full.status, 503);
  t.match(await full.json(), { status: 'degraded', checks: { sql: { ok: false, detail: /disk of .* is full/u } } });
  await rm(join(disk, 'fill'));
  await waitFor(async () => (await fetch(`${replica.restUrl}/readyz`)).ok, { description: 'readiness' });
  t.pass('ready again');
});
