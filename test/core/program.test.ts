/** Programs of somebody else, which do not do what they should. */

import { readFile } from 'node:fs/promises';
import { test } from 'tap';
import { ProgramError, runProgram } from '../../src/core/program.js';
import { waitFor } from '../wait.js';

const never = new AbortController().signal;
const shell = (script: string, signal = never, maximumBytes?: number): Promise<string> => {
  const environment = { PATH: process.env['PATH'], SECRET: 'hunter2' };
  const limit = maximumBytes === undefined ? {} : { maximumBytes };
  const program = { command: '/bin/sh', args: ['-c', script], environment, ...limit };
  return runProgram(program, signal).then(String);
};

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('what it prints, without a terminal or input', async (t) => {
  t.equal(await shell('printf one'), 'one');
  t.equal(await shell('cat'), '', 'its input is empty');
  t.equal(await shell('if (: < /dev/tty) 2> /dev/null; then printf terminal; else printf none; fi'), 'none');
});

test('a child that it leaves behind holds its output open, and nobody waits for it', async (t) => {
  const pid = Number(await shell('sleep 1000 & printf $!'));
  t.ok(isAlive(pid), 'what succeeded may leave a daemon');
  process.kill(pid);
});

test('the signal ends it with everything that it started', async (t) => {
  const directory = t.testdir({});
  const controller = new AbortController();
  const running = shell(`sleep 1000 & echo $! > ${directory}/pid; wait`, controller.signal);
  const pid = await waitFor(async () => Number(await readFile(`${directory}/pid`, 'utf8')) || undefined, {
    timeoutMs: 20_000,
  });
  controller.abort(new Error('not wanted'));
  await t.rejects(running, { message: 'not wanted' });
  await waitFor(() => !isAlive(pid), { timeoutMs: 20_000, description: 'the child to be gone' });
});

test('failures are told without what it printed', async (t) => {
  const failure = async (script: string, maximumBytes?: number): Promise<ProgramError> =>
    shell(script, never, maximumBytes).then(
      () => new ProgramError('none'),
      (error: unknown) => error as ProgramError,
    );
  t.equal((await failure('printf $SECRET; exit 3')).message, '"/bin/sh" ended with code 3');
  t.equal((await failure('kill -9 $$')).message, '"/bin/sh" ended with signal SIGKILL');
  t.match(await failure('while :; do printf 0123456789; done', 1_000), { message: /printed more than 1000 bytes/ });
  const missing = runProgram({ command: '/none', args: [], environment: {} }, never);
  await t.rejects(missing, { missing: true, message: '"/none" cannot be started (ENOENT)' });
});
