/** Debian's python3-grpcio as an agent: the protocol is plain gRPC and protobuf, not what our own client makes of it. */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { waitFor } from '../../wait.js';
import { startGateway } from '../running-gateway.js';

// Not whatever python3 comes first: the packages are Debian's.
const python = '/usr/bin/python3';
const proto = fileURLToPath(new URL('../../../proto', import.meta.url));
const script = fileURLToPath(new URL('agent.py', import.meta.url));

test('an agent in Python registers, serves operations and answers pings', async (t) => {
  const generated = mkdtempSync(join(tmpdir(), 'agent-gateway-python-'));
  t.teardown(() => rmSync(generated, { recursive: true, force: true }));
  execFileSync('protoc', [`--proto_path=${proto}`, `--python_out=${generated}`, 'ops/operations.proto']);
  const gateway = await startGateway(t);

  const agent = spawn(python, [script, generated, gateway.agentsAddress, 'python-agent', 'python-account'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PYTHONDONTWRITEBYTECODE: '1' },
  });
  t.teardown(() => agent.kill('SIGKILL'));
  const exited = once(agent, 'exit');
  const lines: string[] = [];
  createInterface({ input: agent.stdout }).on('line', (line) => lines.push(line));
  const said = (line: RegExp): Promise<string> =>
    waitFor(() => lines.find((each) => line.test(each)), { timeoutMs: 15_000, description: `${String(line)} of it` });

  await said(/^registered gateway-under-test \d+$/u);
  await said(/^caching python-account$/u);
  t.match((await gateway.request('/armory/agents/python-agent')).body, {
    accounts: ['python-account'],
    agentId: 'python-agent',
    clouddriverId: 'gateway-under-test',
    type: 'kubernetes',
  });

  const text = 'account: "python-account" get { object { kind: "Pod" namespace: "shop" name: "web-0" } }';
  const { status, body } = await gateway.operate(text);
  t.equal(status, 200);
  t.match(body['result'], /^message: "python got Pod web-0"$/mu);
  t.match(body['result'], /manifests: "\{\\"kind\\":\\"Pod\\"/u);
  await said(/^receipt OUTCOME_RECORDED$/u);
  await said(/^pong \d+$/u);

  await gateway.gateway.stop();
  await said(/^ended (OK|UNAVAILABLE)$/u);
  await exited;
  t.equal(agent.exitCode, 0);
});
