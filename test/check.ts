/**
 * `npm run check [-- NAME ...]`: everything that can be said about the sources without running them. All steps run, two at
 * a time, whatever fails; each prints its name, and its output where it failed.
 */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';

interface Step {
  readonly name: string;
  readonly commands: readonly (readonly string[])[];
  /** Where to run them; default: the project's directory. */
  readonly directory?: string;
}

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
}

const stepTimeoutMs = 5 * 60_000;
const binaries = resolve('node_modules/.bin');

function steps(temporary: string): Step[] {
  const generated = join(temporary, 'src/protocol/generated');
  return [
    // The two that take longest come first.
    { name: 'lint', commands: [['eslint', '--max-warnings=0', '.']] },
    {
      name: 'types',
      commands: [
        ['tsc', '--noEmit'],
        ['tsc', '--noEmit', '--project', 'src/gateway/console/client'],
      ],
    },
    { name: 'format', commands: [['prettier', '--check', '--log-level=warn', '.']] },
    {
      name: 'imports',
      commands: [
        ['depcruise', '--config=.dependency-cruiser.cjs', ...['src', 'test', 'bench', 'demo'].filter(existsSync)],
      ],
    },
    { name: 'supply', commands: [['node', '--import=tsx', 'test/supply.ts']] },
    { name: 'commits', commands: [['node', '--import=tsx', 'test/commit-subjects.ts']] },
    { name: 'names', commands: [['node', '--import=tsx', 'test/type-names.ts']] },
    { name: 'words', commands: [['node', '--import=tsx', 'test/words.ts']] },
    { name: 'sizes', commands: [['node', '--import=tsx', 'test/file-sizes.ts']] },
    { name: 'unused', commands: [['knip', '--no-config-hints']] },
    {
      name: 'proto',
      directory: 'proto',
      commands: [
        ['buf', 'lint'],
        ['buf', 'format', '--diff', '--exit-code'],
        ['buf', 'breaking', '--against=baseline.json'],
      ],
    },
    {
      name: 'generated code',
      directory: 'proto',
      // buf puts what buf.gen.yaml names as ../src/... below the output directory.
      commands: [
        ['buf', 'generate', '--output', join(temporary, 'proto')],
        ['diff', '--recursive', '--unified=1', '../src/protocol/generated', generated],
      ],
    },
  ];
}

function execute([program = '', ...args]: readonly string[], directory: string): Promise<Outcome> {
  const env = { ...process.env, PATH: `${binaries}${delimiter}${process.env['PATH'] ?? ''}` };
  return new Promise((done) => {
    const options = { cwd: directory, env, timeout: stepTimeoutMs, maxBuffer: 64 * 1024 * 1024 };
    execFile(program, args, options, (error, stdout, stderr) => {
      const started = error === null || typeof error.code === 'number' ? '' : `${error.message}\n`;
      done({ ok: error === null, output: stdout + stderr + started });
    });
  });
}

async function runStep(step: Step): Promise<boolean> {
  const start = performance.now();
  let ok = true;
  let output = '';
  for (const command of step.commands) {
    const outcome = await execute(command, step.directory ?? '.');
    ok &&= outcome.ok;
    if (!outcome.ok) output += `${outcome.output.trimEnd()}\n\n`;
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  process.stdout.write(`${ok ? 'ok    ' : 'FAILED'} ${step.name} (${seconds} s)\n${output}`);
  return ok;
}

const temporary = await mkdtemp(join(tmpdir(), 'agent-gateway-check-'));
const failed: string[] = [];
try {
  const names = process.argv.slice(2);
  const waiting = steps(temporary).filter(({ name }) => names.length === 0 || names.includes(name));
  if (waiting.length === 0) throw new Error(`no such step: ${names.join(', ')}`);
  const work = async (): Promise<void> => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      if (!(await runStep(step))) failed.push(step.name);
    }
  };
  await Promise.all([work(), work()]);
} finally {
  await rm(temporary, { recursive: true, force: true });
}
process.stdout.write(failed.length === 0 ? 'check passed\n' : `check failed: ${failed.join(', ')}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
