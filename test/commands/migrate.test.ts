/** `agent-gateway migrate` as a process: what it prints is all that there is. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createConnection } from 'mysql2/promise';
import { test } from 'tap';
import { mariaDbDatabase } from '../services/databases.js';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Runs it to its end. */
function migrate(...flags: readonly string[]): Promise<{ readonly code: unknown; readonly output: string }> {
  const args = ['--import=tsx', main, 'migrate', ...flags];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, output: `${stdout}${stderr}` });
    });
  });
}

test('what the database refused is in the output of migrate', async (t) => {
  const { url } = await mariaDbDatabase(t);
  const name = new URL(url).pathname.slice(1);
  const admin = await createConnection({ uri: url, connectTimeout: 5_000 });
  t.teardown(async () => {
    await admin.query("drop user if exists 'watcher'@'%'");
    await admin.end();
  });
  await admin.query("create user 'watcher'@'%' identified by 'hunter2'");
  await admin.query(`grant select on ${name}.* to 'watcher'@'%'`);
  const refused = await migrate(`--sql.url=${url}`, '--sql.user=watcher', '--sql.password=hunter2');
  t.equal(refused.code, 1);
  t.match(refused.output, /^agent-gateway: the database refused a statement.*CREATE command denied to user 'watcher'/u);
  t.equal(refused.output.trimEnd().split('\n').length, 1, 'one line');
  t.notMatch(refused.output, /hunter2/u);

  t.match(await migrate(`--sql.url=${url}`), { code: 0, output: /^Applied: 0001-initial/u });
  t.match(await migrate(`--sql.url=${url}`), { code: 0, output: /^The tables are up to date/u });
});
