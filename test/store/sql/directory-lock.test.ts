/** The lock of a directory: one has it, whoever asks at the same time, and it ends with its process. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test, type Test } from 'tap';
import { lockDirectory } from '../../../src/store/sql/directory-lock.js';

async function directoryOf(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-lock-'));
  t.teardown(() => rm(directory, { recursive: true }));
  return directory;
}

const refusal = { name: 'GatewayError', code: 'configuration', message: /^sql\.url: .*only one process can/u };

test('of many at the same time one at most has it, and afterwards the next one', async (t) => {
  const directory = await directoryOf(t);
  for (let round = 0; round < 10; round += 1) {
    const settled = await Promise.allSettled(Array.from({ length: 4 }, () => lockDirectory(directory)));
    const holders = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    t.ok(holders.length <= 1, `${String(holders.length)} have it`);
    for (const each of settled) if (each.status === 'rejected') t.match(each.reason, refusal);
    for (const release of holders) await release();
    t.same(await readdir(directory), [], 'nothing is left');
  }
  const release = await lockDirectory(directory);
  await t.rejects(lockDirectory(directory), {
    ...refusal,
    message: new RegExp(`process ${String(process.pid)} `, 'u'),
  });
  await release();
  await (
    await lockDirectory(directory)
  )();
});

test('a process that was killed or stopped in a long directory', async (t) => {
  const directory = join(await directoryOf(t), 'd'.repeat(120));
  const code = `
    import { mkdir } from 'node:fs/promises';
    import { lockDirectory } from ${JSON.stringify(fileURLToPath(new URL('../../../src/store/sql/directory-lock.ts', import.meta.url)))};
    await mkdir(${JSON.stringify(directory)}, { recursive: true });
    const release = await lockDirectory(${JSON.stringify(directory)});
    process.stdout.write('locked');
    setInterval(() => release.name, 1_000);`;
  const child = spawn(process.execPath, ['--import=tsx', '--input-type=module', '--eval', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  await once(child.stdout, 'data');
  child.kill('SIGSTOP');
  const held = { ...refusal, message: new RegExp(`process ${String(child.pid)} `, 'u') };
  await t.rejects(lockDirectory(directory), held, 'one that is stopped has it still');
  child.kill('SIGKILL');
  await ended;
  t.equal((await readdir(directory)).length, 1, 'it could not clean up');
  await writeFile(join(directory, '.gateway-1-0123456789abcdef.lock'), '', 'utf8');
  const release = await lockDirectory(directory);
  t.equal((await readdir(directory)).length, 1, 'what the dead left is gone');
  await release();
});
