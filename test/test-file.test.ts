/** What `npm test` makes of good, failing, crashing, hanging and empty test files. */

import { spawnSync } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { test } from 'tap';
import { fileTimeoutMs } from './file-timeout.js';
import { longTermNode, nodeDirectory } from './services/node.js';
import { runTestFile, type FileResult } from './test-file.js';

const files = {
  'mixed.ts': `import { test } from 'tap';
    test('good', async (t) => { t.ok(true); t.ok(true); });
    test('skipped', { skip: true }, async () => {});
    test('later', { todo: true }, async () => {});
    test('nothing asserted', async () => {});
    test('outer', async (t) => { await t.test('inner', async (t) => { t.equal(1, 2, 'numbers agree'); }); });`,
  'crash.ts': `import { test } from 'tap';
    test('good', async (t) => { t.ok(true); });
    setTimeout(() => { console.error('last words'); process.exit(3); }, 50);`,
  'hang.ts': `import { test } from 'tap';
    test('never ends', async (t) => { t.ok(true); setInterval(() => {}, 1000); await new Promise(() => {}); });`,
  'empty.ts': '',
  'killed.ts': `process.kill(process.pid, 'SIGKILL');`,
};

test('every assertion counts once, and whatever is wrong with a file makes it fail', async (t) => {
  const directory = t.testdir(files);
  const run = (name: keyof typeof files, timeoutMs = 60_000): Promise<FileResult> =>
    runTestFile(join(directory, name), { timeoutMs, env: process.env, signal: new AbortController().signal });

  const mixed = await run('mixed.ts');
  t.match(mixed, { passed: 3, failed: 1, skipped: 2 });
  t.match(mixed.details, /FAILED outer > inner > numbers agree[^]*mixed\.ts:6/);
  const crash = await run('crash.ts');
  t.match(crash, { passed: 1, failed: 1, details: /ended with code 3[^]*last words/ });
  const hang = await run('hang.ts', 2_000);
  t.match(hang, { passed: 1, failed: 1, details: /never ends > timeout!/ });
  t.match(await run('empty.ts'), { passed: 0, failed: 1, details: /ran no test/ });
  t.match(await run('killed.ts'), { passed: 0, failed: 1, details: /SIGKILL/ });
});

test('a file runs on the Node.js that it is given, and so does what it starts by name', async (t) => {
  const file = `import { execFileSync } from 'node:child_process';
    import { test } from 'tap';
    test(process.version, async (t) => { t.equal(execFileSync('node', ['-v']).toString().trim(), process.version); t.fail('to see it'); });`;
  const directory = t.testdir({ 'version.ts': file });
  const node = await nodeDirectory('lts');
  const result = await runTestFile(join(directory, 'version.ts'), {
    timeoutMs: 60_000,
    env: { ...process.env, PATH: `${node}${delimiter}${process.env['PATH'] ?? ''}` },
    signal: new AbortController().signal,
    node: join(node, 'node'),
  });
  t.match(result, { passed: 1, failed: 1, details: `FAILED v${longTermNode} > to see it` });
});

test('a file that is run by itself has the time that npm test gives it', (t) => {
  const file = join(
    t.testdir({ 'alone.ts': `import { t } from 'tap'; console.error(t.options.timeout);` }),
    'alone.ts',
  );
  const { TAP_TIMEOUT: _, ...env } = process.env;
  const { stderr } = spawnSync(process.execPath, ['--import=tsx', file], { env, encoding: 'utf8' });
  t.equal(Number(stderr), fileTimeoutMs);
  t.end();
});

test('an interrupted file is ended at once', async (t) => {
  const directory = t.testdir(files);
  const started = performance.now();
  const signal = AbortSignal.timeout(300);
  const result = await runTestFile(join(directory, 'hang.ts'), { timeoutMs: 60_000, env: process.env, signal });
  t.equal(result.failed, 1);
  t.ok(performance.now() - started < 50_000);
});
