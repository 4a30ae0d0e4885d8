/** docs/security.md: its five commands work as they stand there, and what it refers to exists. */

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { status } from '@grpc/grpc-js';
import { credentials } from '@grpc/grpc-js';
import { test } from 'tap';
import { parse } from 'yaml';
import { parseAgentPolicy, parseCallerPolicy } from '../../../src/gateway/auth/policy.js';
import { leaves, sections } from '../../../src/gateway/config/leaves.js';
import { freePort } from '../../free-port.js';
import { kubernetesPrograms } from '../../services/kubernetes-program.js';
import { startKubernetes } from '../../services/kubernetes.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';

const project = fileURLToPath(new URL('../../../', import.meta.url));
const file = join(project, 'docs/security.md');
const page = readFileSync(file, 'utf8');
const programs = await kubernetesPrograms();

test('links and settings', (t) => {
  const links = [...page.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/gu)].map(([, link = '']) => link);
  t.ok(links.length > 15);
  for (const link of links) t.ok(existsSync(join(dirname(file), link)), link);
  const known = (key: string): boolean => leaves.has(key) || sections.has(key);
  const settings = [...page.matchAll(/`((?:kubesvc|server)\.[\w.-]+?)[`:=]/gu)].map(([, key = '']) => key);
  t.ok(settings.length > 10);
  for (const key of settings) t.ok(known(key), key);
  const policy = /```yaml\n(agents:.*?)```/su.exec(page)?.[1] ?? '';
  t.equal(parseAgentPolicy(policy).length, 1, 'the policy can be used');
  t.ok(parse(policy));
  const callers = /```yaml\n(callers:.*?)```/su.exec(page)?.[1] ?? '';
  t.equal(parseCallerPolicy(callers).length, 2, 'so can that of callers');
  t.end();
});

test('mTLS in five commands', { skip: typeof programs === 'string' && programs }, async (t) => {
  const kubernetes = await startKubernetes(programs);
  t.teardown(() => kubernetes.stop());
  const script = /```sh\n(.*?)```/su.exec(page)?.[1] ?? '';
  const commands = script.trim().split('\n');
  t.equal(commands.length, 5);
  const [agentsPort, restPort, healthPort] = [await freePort(), await freePort(), await freePort()];
  const directory = t.testdir({});
  const main = `node --import=${import.meta.resolve('tsx')} ${join(project, 'src/main.ts')}`;
  // Other ports, because others of this machine use these; and the sources in place of what npm installs.
  const adapted = script
    .replaceAll(/(?<=^|&& )agent-gateway (?=serve|agent)/gmu, `${main} `)
    .replaceAll('localhost:9091', `localhost:${String(agentsPort)}`)
    .replaceAll('~/.kube/config', kubernetes.adminKubeconfig)
    .replaceAll(' serve ', ` serve --server.port=${String(restPort)} --kubesvc.grpc.server.port=${String(agentsPort)} `)
    .replaceAll('"kubernetes": {', `"server": {"port": ${String(healthPort)}}, "kubernetes": {`);
  const shell = spawn('bash', ['-e', '-c', `${adapted}\nwait`], { cwd: directory, detached: true });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  t.teardown(() => {
    // The whole group: the shell and what it started.
    if (shell.pid !== undefined) process.kill(-shell.pid, 'SIGKILL');
  });
  const agents = await waitFor(
    async () => {
      const response = await fetch(`http://127.0.0.1:${String(restPort)}/armory/agents`);
      const list = (await response.json()) as { accounts: string[] }[];
      return list.length > 0 ? list : undefined;
    },
    { timeoutMs: 60_000, intervalMs: 200, description: 'the agent' },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${output}`);
  });
  t.match(agents, [{ accounts: ['my-cluster'] }]);

  const authority = readFileSync(join(directory, 'ca.crt'));
  const stranger = new RawAgent(`localhost:${String(agentsPort)}`, credentials.createSsl(authority));
  t.teardown(() => stranger.close());
  stranger.send({ case: 'register', value: { agentId: 'stranger', accounts: [{ name: 'x' }] } });
  t.equal((await stranger.ended()).code, status.UNAVAILABLE, 'nobody else gets in');
  const pair = ['gateway.key', 'gateway.crt'].map((name) => readFileSync(join(directory, name))) as [Buffer, Buffer];
  const other = new RawAgent(`localhost:${String(agentsPort)}`, credentials.createSsl(authority, ...pair));
  t.teardown(() => other.close());
  other.send({ case: 'register', value: { agentId: 'other', accounts: [{ name: 'x' }] } });
  t.equal((await other.ended()).code, status.PERMISSION_DENIED, 'nor who is not of Acme');
});
