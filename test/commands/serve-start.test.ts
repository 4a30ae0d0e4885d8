/** `agent-gateway serve` as a process that cannot start: one line that names the setting, and an exit code. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { freePort } from '../free-port.js';
import { startTcpProxy } from '../tcp-proxy.js';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

interface Ended {
  readonly code: number | string | null | undefined;
  readonly stderr: string;
}

/** Runs it to its end. */
function serve(...flags: readonly string[]): Promise<Ended> {
  const args = ['--import=tsx', main, 'serve', '--kubesvc.grpc.server.port=0', '--server.port=0', ...flags];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: 60_000 }, (error, _stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stderr });
    });
  });
}

test('a start that fails says why in one line', async (t) => {
  const [closed, silent] = [await freePort(), await startTcpProxy({ port: await freePort() })];
  t.teardown(() => silent.close());
  silent.stall();
  const fails = async (expected: number, line: RegExp, ...flags: readonly string[]): Promise<void> => {
    const { code, stderr } = await serve(...flags);
    t.equal(code, expected, stderr);
    t.match(stderr, line);
    t.equal(stderr.trimEnd().split('\n').length, 1, 'one line');
  };
  const key = 'kubesvc.grpc.server.prot';
  await Promise.all([
    fails(2, new RegExp(`^agent-gateway: ${key}: .*kubesvc\\.grpc\\.server\\.port.*--${key}`, 'u'), `--${key}=1`),
    fails(2, /^agent-gateway: server\.port: expected .*"many"/u, '--server.port=many'),
    fails(
      1,
      new RegExp(`^agent-gateway: .*sql\\.url.*127\\.0\\.0\\.1:${closed}`, 'u'),
      `--sql.url=mysql://app@127.0.0.1:${closed}/db`,
    ),
  ]);
  const started = performance.now();
  await Promise.all([
    fails(
      1,
      new RegExp(`^agent-gateway: .*sql\\.url.*127\\.0\\.0\\.1:${closed}`, 'u'),
      `--sql.url=postgresql://app@127.0.0.1:${closed}/db`,
    ),
    fails(
      1,
      new RegExp(`^agent-gateway: .*sql\\.url.*127\\.0\\.0\\.1:${silent.port}`, 'u'),
      ...[`--sql.url=mysql://app@127.0.0.1:${silent.port}/db`, '--sql.connectionTimeoutMs=1000'],
    ),
    fails(
      1,
      new RegExp(
        `^agent-gateway: kubesvc\\.grpc\\.server\\.port: port ${silent.port} .*another process uses it$`,
        'mu',
      ),
      ...[`--kubesvc.grpc.server.port=${silent.port}`, '--kubesvc.grpc.server.address=127.0.0.1'],
    ),
  ]);
  const tookMs = performance.now() - started;
  t.ok(tookMs < 120_000, `the slowest took ${Math.round(tookMs)} ms`);
});
