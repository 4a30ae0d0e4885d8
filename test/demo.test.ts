/** `npm run demo`: what it says, shows and leaves. */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { waitFor } from './wait.js';

const program = fileURLToPath(new URL('../demo/demo.ts', import.meta.url));

function start(...args: readonly string[]) {
  const child = spawn(process.execPath, ['--import=tsx', program, ...args]);
  const shown = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => (shown.out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (shown.err += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, shown, ended };
}

test('help, and a flag that it does not know', async (t) => {
  const help = start('--help');
  t.equal(await help.ended, 0);
  t.match(help.shown.out, /^Usage: npm run demo [^]*mariadb-server-core[^]*no service[^]*--keep[^]*--seconds/u);
  t.notMatch(help.shown.out, /Starting/u);
  const unknown = start('--kep');
  t.equal(await unknown.ended, 1);
  t.match(unknown.shown.err, /^demo: .*--kep/u);
  const short = start('--seconds=1');
  t.equal(await short.ended, 1);
  t.equal(short.shown.err, 'demo: --seconds takes 5 to 60, not 1\n');
});

test('it shows a kill, and with --keep stays up until Ctrl-C', async (t) => {
  const { child, shown, ended } = start('--keep', '--seconds=6');
  const closed = { value: false };
  void ended.then(() => (closed.value = true));
  await waitFor(() => closed.value || shown.out.includes('Ctrl-C ends the demo.'), { timeoutMs: 300_000 });
  t.match(shown.out, /gateway-c killed[^]*all 30 agents are connected again after/u, shown.err);
  t.match(shown.err, /posting operations \.\.\. 5 s\n/u, 'six seconds of load are not silent');
  const [, page = '', api = ''] = /console {2}(\S+)\nREST {5}(\S+)\n/u.exec(shown.out) ?? [];
  for (const url of [page, api]) t.equal((await fetch(url)).status, 200, url);
  t.notOk(closed.value);
  child.kill('SIGINT');
  t.equal(await ended, 0);
  await t.rejects(fetch(page), 'nothing is left');
});
