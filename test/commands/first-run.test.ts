/** `npm start` without configuration: what it says, and that all of it is true. */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test, type Test } from 'tap';
import { waitFor } from '../wait.js';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** @returns what it has printed when `last` is among it; the process ends with the test */
async function startedOutput(t: Test, last: RegExp, ...flags: readonly string[]): Promise<string> {
  const ports = ['--kubesvc.grpc.server.port=0', '--server.port=0'];
  const child = spawn(process.execPath, ['--import=tsx', main, 'serve', ...ports, ...flags]);
  const ended = new Promise((resolve) => child.once('close', resolve));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await waitFor(() => last.test(output), { description: `${String(last)} on standard output` });
  return output;
}

test('a first run names the console and the API, and says that nothing is kept', async (t) => {
  const output = await startedOutput(t, /Ctrl-C/u, '--logging.format=text');
  t.match(output, /in memory.*\n.*--sql\.url=pglite:DIR/u);
  t.match(output, /agents dial +127\.0\.0\.1:\d+ /u);
  const [page = '', api = ''] = output.match(/http:\/\/127\.0\.0\.1:\d+\/(?:console|docs)/gu) ?? [];
  t.match(page, /\/console$/u);
  t.match(api, /\/docs$/u);
  for (const url of [page, api]) t.match(await textOf(url), /<!doctype html>/iu, url);

  const root = await fetch(new URL('/', page), { redirect: 'manual' });
  t.equal(root.status, 302);
  t.equal(new URL(root.headers.get('location') ?? '', root.url).href, page, 'the root leads to the console');
  t.equal(await textOf(root.url), await textOf(page));
});

test('a log for machines says as well that nothing is kept', async (t) => {
  const output = await startedOutput(t, /"serving"[^]*\n.*\n/u, '--logging.format=json');
  t.match(output, /the database is in memory.*--sql\.url=pglite:DIR/u);
});

async function textOf(url: string): Promise<string> {
  return (await fetch(url, { signal: AbortSignal.timeout(60_000) })).text();
}
