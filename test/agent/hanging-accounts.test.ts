/** One account never harms another: plugins, files and API servers that hang, against a real gateway. */

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'tap';
import { parseAgentConfiguration } from '../../src/agent/configuration/read.js';
import { createAgentService } from '../../src/agent/service.js';
import { startGateway } from '../gateway/running-gateway.js';
import { kubeconfigOf, startRecordingServer } from '../kubernetes/recording-server.js';
import { waitFor } from '../wait.js';

const patience = { timeoutMs: 30_000, intervalMs: 50 };

/** What a credential plugin may do instead of its work. */
const plugins: Record<string, string> = {
  hangs: 'while [ ! -e "$0.go" ]; do sleep 0.1; done; printf "$CREDENTIAL"',
  garbage: 'printf "not { what was asked for, but hunter2"',
  fails: 'printf "$CREDENTIAL"; exit 3',
  endless: 'while :; do printf "%010000d" 0; done',
  forks: 'sleep 1000 & printf "$CREDENTIAL"',
  terminal: 'read answer < /dev/tty || exit 5; sleep 1000',
};
const credential = { kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1', status: { token: 'good' } };
const exec = (command: string): object => ({
  exec: {
    ...{ apiVersion: credential.apiVersion, command: `./${command}`, interactiveMode: 'Never' },
    env: [{ name: 'CREDENTIAL', value: JSON.stringify(credential) }],
  },
});

async function startSilentServer(t: { teardown(release: () => void): unknown }): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test('plugins, files and API servers that hang harm no other account', { timeout: 120_000 }, async (t) => {
  const [api, silentPort] = [await startRecordingServer(t), await startSilentServer(t)];
  const cluster = { server: `https://127.0.0.1:${String(api.port)}`, 'insecure-skip-tls-verify': true };
  const directory = t.testdir({});
  const file = (name: string, content: string, mode?: number): string => {
    writeFileSync(join(directory, name), content, mode === undefined ? {} : { mode });
    return join(directory, name);
  };
  for (const [name, script] of Object.entries(plugins)) file(name, `#!/bin/sh\n${script}\n`, 0o755);
  // More than Node.js has threads for files.
  const pipes = ['pipe1', 'pipe2', 'pipe3', 'pipe4', 'pipe5'];
  for (const name of pipes) execFileSync('mkfifo', [join(directory, name)]);
  const users: Record<string, object> = {
    healthy: { token: 'good' },
    ...Object.fromEntries(Object.keys(plugins).map((name) => [name, exec(name)])),
    ...Object.fromEntries(pipes.map((name) => [name, { tokenFile: name }])),
    silent: { token: 'good' },
  };
  const accounts = Object.entries(users).map(([name, user]) => {
    const server = name === 'silent' ? { ...cluster, server: `https://127.0.0.1:${String(silentPort)}` } : cluster;
    return { name, kubeConfigFile: file(`${name}.kubeconfig`, kubeconfigOf(server, user)) };
  });
  const gateway = await startGateway(t);
  const text = JSON.stringify({
    clouddriver: { grpc: gateway.agentsAddress },
    kubernetes: { accounts, retries: { enabled: false } },
    server: { port: 0 },
    tasks: { drainSeconds: 1, maxOperations: 3 },
  });
  const log: Record<string, unknown>[] = [];
  const write = (line: string): void => void log.push(JSON.parse(line) as Record<string, unknown>);
  const service = createAgentService({
    configuration: parseAgentConfiguration(text, 'agent.yml', {}).configuration,
    ...{ version: 'test', logger: pino({ level: 'info' }, { write }), hostname: 'agent-1' },
    environment: { PATH: process.env['PATH'] },
  });
  await service.start(AbortSignal.timeout(60_000));
  t.teardown(() => service.stop());
  const told = (message: string): string[] =>
    log.flatMap(({ msg, account }) => (msg === message ? [String(account)] : [])).sort();
  const get = { object: { apiVersion: 'v1', kind: 'Pod', name: 'x' } };

  await t.test('at start the others are registered and served, and those that hang do not answer yet', async (t) => {
    const registered = async (): Promise<string[]> =>
      ((await gateway.request('/armory/agents')).body as unknown as { accounts: string[] }[]).flatMap(
        (agent) => agent.accounts,
      );
    await waitFor(async () => (await registered()).length === accounts.length, patience);
    const late = ['endless', 'fails', 'garbage', 'hangs', ...pipes, 'silent', 'terminal'];
    t.strictSame(told('cluster does not answer yet; the account registers without its version'), late);
    const { status } = await gateway.operate({ account: 'healthy', get, timeoutMs: 10_000 });
    t.not(status, 504);
    t.notOk(JSON.stringify(log).includes('hunter2'), 'what a plugin printed is in no log');
  });

  await t.test('an operation ends with its deadline, whatever it waits for, and frees its slot', async (t) => {
    const names = ['hangs', 'pipe1', 'pipe2', 'silent', 'hangs', 'pipe1'];
    const answers = await Promise.all(names.map((account) => gateway.operate({ account, get, timeoutMs: 500 })));
    t.strictSame(
      answers.map(({ status }) => status),
      names.map(() => 504),
    );
    await waitFor(() => service.connection.operations.executing === 0, { description: 'all slots to be free' });
    for (let index = 0; index < 3; index += 1) {
      t.match((await gateway.operate({ account: 'healthy', get, timeoutMs: 10_000 })).body, {
        result: { status: 404 },
      });
    }
  });

  await t.test('it joins when it answers', async (t) => {
    t.strictSame(told('cluster answers'), []);
    file('hangs.go', '');
    const pipe = join(directory, 'pipe3');
    execFileSync('sh', ['-c', 'printf good > "$0"', pipe], { timeout: 20_000 });
    await waitFor(() => told('cluster answers').length === 2, { ...patience, description: 'two to join' });
    t.strictSame(told('cluster answers'), ['hangs', 'pipe3']);
    t.match((await gateway.operate({ account: 'hangs', get })).body, { result: { status: 404 } });
    t.equal(api.requests.at(-1)?.authorization, 'Bearer good');
  });
});
