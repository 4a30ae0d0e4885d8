/** Which Node.js the program starts on, and what it says on the others. */

import { execFile, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'tap';
import ts from 'typescript';
import { nodeProblem } from '../../src/core/node-version.js';
import { freePort } from '../free-port.js';
import { nodeDirectory } from '../services/node.js';
import { waitFor } from '../wait.js';

const run = promisify(execFile);
const project = fileURLToPath(new URL('../../', import.meta.url));
const source = (path: string): Promise<string> => readFile(join(project, path), 'utf8');

test('versions', async (t) => {
  for (const version of ['22.12.0', '22.21.1', '23.0.0', '24.0.0', '26.10.0'])
    t.equal(nodeProblem(version), undefined, version);
  for (const version of ['20.19.0', '20.20.2', '21.7.3', '22.0.0', '22.11.9'])
    t.match(nodeProblem(version), { fatal: false, text: `${version} may work, but is not supported` }, version);
  for (const version of ['14.21.3', '18.20.8', '20.9.0', '20.18.3'])
    t.match(nodeProblem(version), { fatal: true, text: `cannot run on ${version}; install a newer one` }, version);
  const { engines } = JSON.parse(await source('package.json')) as { engines: { node: string } };
  t.equal(engines.node, `>=${/needs Node\.js ([\d.]+) or newer/u.exec(nodeProblem('1.0.0')?.text ?? '')?.[1] ?? ''}`);
});

test('an old Node.js says so before anything else is loaded', async (t) => {
  const compiled = async (path: string): Promise<string> =>
    ts.transpileModule(await source(path), {
      compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
    }).outputText;
  const directory = t.testdir({
    'package.json': '{ "type": "module" }',
    'main.js': await compiled('src/main.ts'),
    'process.js': "process.stdout.write('the program starts\\n');",
    core: { 'node-version.js': await compiled('src/core/node-version.ts') },
  });
  const main = join(directory, 'main.js');
  const old = join(await nodeDirectory('18.20.8'), 'node');
  const stderr =
    'agent-gateway: Agent Gateway needs Node.js 22.12 or newer, and cannot run on 18.20.8; install a newer one\n';
  await t.rejects(run(old, [main, '--version']), { code: 1, stdout: '', stderr });
  t.equal((await run(process.execPath, [main])).stdout, 'the program starts\n');
});

for (const [version, warned] of [
  ['20.20.2', true],
  ['24.22.3', false],
] as const) {
  test(`the log of a replica and of an agent on ${version}`, async (t) => {
    const fake = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`;
    const port = await freePort();
    const configuration = `{clouddriver: {grpc: "127.0.0.1:1", insecure: true}, dynamicAccounts: {enabled: true}, server: {port: ${String(port)}}}`;
    const file = join(t.testdir({ 'agent.yml': configuration }), 'agent.yml');
    const ports = ['--kubesvc.grpc.server.port=0', '--server.port=0', '--logging.format=json'];
    for (const [args, last] of [
      [['serve', ...ports], /"serving"/u],
      [['agent', '--config', file], /agent started/u],
    ] as const) {
      const loaded = ['--import=tsx', `--import=data:text/javascript,${encodeURIComponent(fake)}`];
      const child = spawn(process.execPath, [...loaded, join(project, 'src/main.ts'), ...args]);
      const ended = new Promise((resolve) => child.once('close', resolve));
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
      try {
        await waitFor(() => last.test(output), { description: `${String(last)} in the log of ${args[0]}` });
        t.equal(output.includes(`${version} may work, but is not supported`), warned, output);
      } finally {
        child.kill('SIGKILL');
        await ended;
      }
    }
  });
}
