/** `agent-gateway` as a process: signals, closed pipes, help. What is right is what kubectl and POSIX tools do. */

import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { obliging, startGatewayDouble } from '../client/gateway-double.js';
import { waitFor } from '../wait.js';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const program = [process.execPath, '--import=tsx', main];

function start(command: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const [file = '', ...args] = command;
  const child = spawn(file, args, { env: { ...process.env, ...environment }, timeout: 60_000, killSignal: 'SIGKILL' });
  const ended = new Promise<number | string | null>((resolve) => {
    child.on('close', (code, signal) => resolve(code ?? signal));
  });
  return { child, ended: Promise.all([ended, text(child.stdout), text(child.stderr)]) };
}

const id = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const send = ['ops', 'send', 'get', 'Pod', 'a', '-a', 'x'];

test('Ctrl-C on waiting commands says what goes on and how to watch it, and is no success', async (t) => {
  const double = await startGatewayDouble(t, ({ method }) =>
    method === 'POST' ? undefined : { body: { operationId: id, operationType: 'get', account: 'x', startTime: '' } },
  );
  const interrupt = async (command: readonly string[], signal: 'SIGINT' | 'SIGTERM') => {
    const before = double.requests.length;
    const { child, ended } = start([...program, ...command], { AGENT_GATEWAY_REST: double.url });
    await waitFor(() => double.requests.length > before, { timeoutMs: 30_000 });
    child.kill(signal);
    const [code, out, err] = await ended;
    return { code, out, err };
  };
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const { out, err, ...rest } = await interrupt(send, signal);
    const sent = String(double.requests.at(-1)?.operation['id']);
    t.match(sent, /^\w{26}$/u, 'the id is known before the gateway answers');
    t.same({ ...rest, out }, { code, out: '' });
    const told = `agent-gateway: stopped; operation ${sent} may still be under way\nTo watch it: agent-gateway ops watch ${sent}`;
    t.equal(err, `${told}\n`);
  }
  const rest = `${double.url}/behind/proxy`;
  const watching = await interrupt(['ops', 'watch', id, '--rest', rest], 'SIGINT');
  t.equal(watching.code, 130);
  t.match(watching.err, `To watch it: agent-gateway ops watch ${id} --rest ${rest}\n`);
});

test('Ctrl-C while standard input is awaited, and while all operations are watched', async (t) => {
  const double = await startGatewayDouble(t);
  const reading = start([...program, 'ops', 'send', '-f', '-', '--rest', double.url]);
  const watching = start([...program, 'ops', 'watch', '--rest', double.url]);
  // No pipe holds that much: it is taken when the command reads.
  await new Promise((resolve) => reading.child.stdin.write(`#${' '.repeat(1 << 20)}\n`, resolve));
  await waitFor(() => double.requests.length > 0, { timeoutMs: 30_000 });
  for (const { child } of [reading, watching]) child.kill('SIGINT');
  t.same(await watching.ended, [
    130,
    'OPERATION   TYPE   ACCOUNT   STARTED   OUTCOME   TOOK   VERB   MODE   RESOURCE   OBJECT   CALLER   AGENT   MESSAGE\n',
    '',
  ]);
  t.same(await reading.ended, [130, '', '']);
});

test('a pipe that is closed early ends the command without a word, as SIGPIPE ends others', async (t) => {
  const record = { operationId: id, operationType: 'get', account: 'x', startTime: '' };
  const agents = Array.from({ length: 10_000 }, (_, index) => ({
    ...{ agentId: `agent-${index}`, accounts: [`account-${index}`], clouddriverId: 'c', caching: true },
    ...{ lastConnection: '', id: `instance-${index}`, ready: true, lastUpdated: '', baseUrl: '' },
  }));
  const double = await startGatewayDouble(t, (asked) => {
    if (asked.path.endsWith('/operations') && asked.method === 'GET') return { body: Array(10_000).fill(record) };
    return asked.method === 'GET' ? { body: agents } : obliging(asked);
  });
  const line = [...program.map((word) => `'${word}'`), '"$@"', '| head -1; exit "${PIPESTATUS[0]}"'].join(' ');
  const piped = (...command: string[]) =>
    start(['bash', '-c', line, 'bash', ...command], { AGENT_GATEWAY_REST: double.url }).ended;
  const lines = ['ops list', 'ops list -o json', 'agents', 'accounts -o yaml', 'instances', 'ops watch'];
  for (const one of lines) {
    const [code, out, err] = await piped(...one.split(' '));
    t.same([one, code, err], [one, 141, '']);
    t.equal(out.split('\n').length, 2);
  }
});

test('help and the version go to standard output, with 0', async (t) => {
  for (const [line, expected] of [
    // What `npm start -- --help` runs.
    ['serve --help', /^Usage: agent-gateway serve \[FLAGS\]\n\nRun one replica/u],
    ['help doctor', /^Usage: agent-gateway doctor .*--output FORM/su],
    ['serve --version', /^\d+\.\d+\.\d+\n$/u],
    ['--version', /^\d+\.\d+\.\d+\n$/u],
  ] as const) {
    const [code, out, err] = await start([...program, ...line.split(' ')]).ended;
    t.same([line, code, err], [line, 0, '']);
    t.match(out, expected);
  }
  const [code, out, err] = await start([...program, 'serv']).ended;
  t.same([code, out], [2, '']);
  t.equal(err, 'agent-gateway: unknown command "serv"; did you mean serve?\nTry: agent-gateway --help\n');
});
