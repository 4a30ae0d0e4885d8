/** Completion: what is offered, and what the shells themselves make of it. */

import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test, type Test } from 'tap';
import { completionScript, shells, type Shell } from '../../src/client/completion.js';
import { format, table } from '../../src/client/output.js';
import { startSimulatedAgents } from '../../src/simulate/agents.js';
import { run } from '../commands/run-command.js';
import { freePort } from '../free-port.js';
import { gatewayId, startGateway } from '../gateway/running-gateway.js';

const nowhere = 'http://127.0.0.1:1';

/** What is offered for the last word. */
async function offered(words: readonly string[], rest = nowhere): Promise<string[]> {
  const { code, out, err } = await run(['__complete', 'zsh', ...words], { environment: { AGENT_GATEWAY_REST: rest } });
  if (code !== 0 || err !== '') throw new Error(err);
  return out.split('\n').slice(0, -1);
}

test('commands, flags that apply, and their values are offered', async (t) => {
  const cases: [string[], string[]][] = [
    [['a'], ['accounts', 'agent', 'agents']],
    [
      ['ops', ''],
      ['get', 'list', 'send', 'watch'],
    ],
    [
      ['ops', 'send', 're'],
      ['restart', 'resume'],
    ],
    [
      ['ops', 'send', 'scale', 'Deployment', 'web', '--re'],
      ['--replicas', '--rest'],
    ],
    [['ops', 'send', 'deploy', '--re'], ['--rest']],
    [['ops', 'list', '--si'], ['--since']],
    [
      ['ops', 'list', '--outcome', 'c'],
      ['cancelled', 'completed'],
    ],
    [['ops', 'list', '--outcome', 't'], ['timed-out']],
    [
      ['ops', 'list', '--outcome=c'],
      ['--outcome=cancelled', '--outcome=completed'],
    ],
    [
      ['agents', '-o', ''],
      ['json', 'table', 'yaml'],
    ],
    [['-o', 'json', 'instan'], ['instances']],
    [['completion', 'z'], ['zsh']],
    [['help', 'ops', 'send', 'sc'], ['scale']],
    [['ops', 'send', 'deploy', '-f', 'x'], [':files']],
    [['agent', '--config', ''], [':files']],
    [['serve', '--config='], [':files']],
    [['serve', '--sql.ur'], ['--sql.url']],
    [
      ['simulate', '--agents-'],
      ['--agents-tls', '--agents-token-file'],
    ],
    [['nonsense', ''], []],
    [['agents', 'one', ''], []],
  ];
  for (const [words, expected] of cases) t.same(await offered(words), expected, words.join(' '));
});

test('accounts, agents, instances and operations are asked of the gateway, for a second at most', async (t) => {
  const { restUrl, agentsAddress } = await startGateway(t);
  const simulated = await startSimulatedAgents({ addresses: [agentsAddress], agents: 2, accounts: 2, latencyMs: 1 });
  t.teardown(() => simulated.stop());
  await simulated.ready(AbortSignal.timeout(20_000));
  t.same(await offered(['ops', 'send', 'get', '-a', 'sim-1'], restUrl), ['sim-1-0', 'sim-1-1']);
  t.same(await offered(['ops', 'send', 'get', '--account=sim-1-1'], restUrl), ['--account=sim-1-1']);
  t.same(await offered(['accounts', ''], restUrl), ['sim-0-0', 'sim-0-1', 'sim-1-0', 'sim-1-1']);
  t.same(await offered(['agents', ''], restUrl), ['sim-agent-0', 'sim-agent-1']);
  t.same(await offered(['--rest', restUrl, 'instances', '']), [gatewayId], 'as the line itself says it');
  const sent = await run(['ops', 'send', 'get', 'Pod', 'a', '-a', 'sim-0-0', '--rest', restUrl]);
  const id = /^operation (\w{26})/u.exec(sent.out)?.[1] ?? 'none';
  t.same(await offered(['ops', 'watch', id.slice(0, 20)], restUrl), [id]);
  t.same(await offered(['agents', ''], `http://127.0.0.1:${await freePort()}`), [], 'nobody answers');
});

test('bash replaces only what stands after = and :', async (t) => {
  const answer = async (line: string, word: string, point = line.length) => {
    const environment = { COMP_LINE: line, COMP_POINT: String(point) };
    return (await run(['__complete', 'bash', word], { environment })).out;
  };
  t.equal(await answer('agent-gateway ops list --outcome=c', 'c'), 'cancelled\ncompleted\n');
  t.equal(await answer('agent-gateway --rest http://127.0.0.1:1 ops li', 'li'), 'list\n');
  t.equal(await answer(`agent-gateway --token-file '/a b' "ops" wa and more`, 'wa', 42), 'watch\n');
  t.equal(await answer('agent-gateway ops send -f ', ''), '', 'bash itself knows files');
});

/** A directory with `agent-gateway` to be found, and a file to be completed. */
function prepare(t: Test) {
  const directory = t.testdir({ 'manifest.yaml': '' });
  const program = join(directory, 'agent-gateway');
  const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
  const tsx = import.meta.resolve('tsx');
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' --import='${tsx}' '${main}' "$@"\n`);
  chmodSync(program, 0o755);
  for (const shell of shells) writeFileSync(join(directory, shell), completionScript(shell));
  const env = { ...process.env, PATH: `${directory}:${process.env['PATH'] ?? ''}`, AGENT_GATEWAY_REST: nowhere };
  return { cwd: directory, env, encoding: 'utf8', timeout: 60_000 } as const;
}

function isMissing(shell: Shell): string | false {
  return spawnSync(shell, ['-c', 'exit 0']).error === undefined ? false : `${shell} is not installed`;
}

test('bash itself', (t) => {
  const options = prepare(t);
  const inBash = (line: string): string[] => {
    const words = line.split(' ');
    // As readline calls it.
    const script = `source ./bash; COMP_LINE='${line}' COMP_POINT=${line.length}
_agent_gateway agent-gateway '${words.at(-1) ?? ''}'; printf '%s\\n' "\${COMPREPLY[@]}"; complete -p agent-gateway`;
    return execFileSync('bash', ['--norc', '-c', script], options).trim().split('\n');
  };
  const registered = 'complete -o default -F _agent_gateway agent-gateway';
  t.same(inBash('agent-gateway ops send re'), ['restart', 'resume', registered]);
  t.same(inBash('agent-gateway ops list --outcome p'), ['pending', registered]);
  t.end();
});

test('zsh itself', { skip: isMissing('zsh') }, (t) => {
  const options = prepare(t);
  const inZsh = (words: readonly string[]): string[] => {
    const array = words.map((word) => `'${word}'`).join(' ');
    const script = `compdef() { :; }; compadd() { shift; print -l -- "$@"; }; _files() { print FILES; }; compset() { :; }
source ./zsh; words=(agent-gateway ${array}); CURRENT=$#words; _agent_gateway`;
    return execFileSync('zsh', ['-f', '-c', script], options).trim().split('\n');
  };
  t.same(inZsh(['ops', 'send', 're']), ['restart', 'resume']);
  t.same(inZsh(['ops', '']), ['get', 'list', 'send', 'watch']);
  t.same(inZsh(['ops', 'send', 'deploy', '-f', '']), ['FILES']);
  t.end();
});

test('fish itself', { skip: isMissing('fish') }, (t) => {
  const options = prepare(t);
  const inFish = (line: string): string[] =>
    execFileSync('fish', ['--no-config', '-c', `source ./fish; complete -C '${line}'`], options)
      .trim()
      .split('\n')
      .map((row) => row.split('\t')[0] ?? '');
  t.same(inFish('agent-gateway ops send re'), ['restart', 'resume']);
  t.same(inFish('agent-gateway ops send deploy -f mani'), ['manifest.yaml']);
  t.end();
});

test('tables are aligned, and nothing in them steers a terminal', (t) => {
  const rows = [
    { name: 'a\u001b[2J', size: '1' },
    { name: 'longer name', size: '' },
  ];
  const columns = [
    ['NAME', (row: { name: string }) => row.name],
    ['SIZE', (row: { size: string }) => row.size],
  ] as const;
  t.equal(table(rows, columns as never), 'NAME          SIZE\na\u{fffd}[2J         1\nlonger name\n');
  t.equal(format('json', rows[1] as object, []), '{\n  "name": "longer name",\n  "size": ""\n}\n');
  t.end();
});
