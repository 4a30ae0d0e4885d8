/** `agent-gateway ops|agents|accounts|instances` as a person and a script run it, against a running gateway. */

import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { parse as parseYaml } from 'yaml';
import { startSimulatedAgents } from '../../src/simulate/agents.js';
import { run as runCommand, startCommand, type Ran } from '../commands/run-command.js';
import { freePort } from '../free-port.js';
import { gatewayId, startGateway } from '../gateway/running-gateway.js';
import { waitFor } from '../wait.js';

function start(argv: readonly string[], restUrl: string, stdin = '') {
  return startCommand(argv, { stdin, environment: { AGENT_GATEWAY_REST: restUrl } });
}

async function setUp(t: Test) {
  const { agentsAddress, restUrl } = await startGateway(t);
  const simulated = await startSimulatedAgents({
    ...{ addresses: [agentsAddress], agents: 2, accounts: 2, latencyMs: 1, failureRate: 0 },
  });
  t.teardown(() => simulated.stop());
  await simulated.ready(AbortSignal.timeout(120_000));
  const run = async (line: string, stdin?: string): Promise<Ran> => {
    const { texts, code } = start(
      line.match(/"[^"]*"|\S+/gu)?.map((word) => word.replaceAll('"', '')) ?? [],
      restUrl,
      stdin,
    );
    return { code: await code, ...texts };
  };
  return { restUrl, run, simulated };
}

test('operations from a terminal', async (t) => {
  const { restUrl, run } = await setUp(t);
  const account = 'sim-0-0';

  await t.test('send by name, and look at the record', async (t) => {
    const sent = await run(`ops send get Pod web-0 -n default -a ${account}`);
    t.equal(sent.code, 0, sent.err);
    const id = /^operation (\w{26}): 200/u.exec(sent.out)?.[1] ?? '';
    t.match(sent.out, /"kind": "Pod"/, 'the object, readable');
    const record = await waitFor(async () => {
      const got = await run(`ops get ${id} -o json`);
      return got.code === 0 ? (JSON.parse(got.out) as object) : undefined;
    });
    t.match(record, { operationId: id, account, finalOutcome: 'completed', operationType: 'get' });
    const table = await run(`ops list --account ${account} --since 1h --outcome completed`);
    t.match(table.out, new RegExp(`^OPERATION .*\n${id} +get +${account} `, 'u'));
    t.match(await run(`ops watch ${id}`), { code: 0, out: /completed/ });
    const yaml = parseYaml((await run('ops list -o yaml --items 1')).out) as object[];
    t.match(yaml, [{ operationId: id }]);
  });

  await t.test('a manifest as YAML, a whole operation as JSON, YAML or text format', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-client-'));
    t.teardown(() => rm(directory, { recursive: true }));
    const file = join(directory, 'deployment.yaml');
    await writeFile(file, 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: default}\n');
    const deployed = await run(`ops send deploy -a ${account} -f ${file} -o json`);
    t.equal(deployed.code, 0, deployed.err);
    const { operation } = JSON.parse(deployed.out) as { operation: { deploy: { manifest: string } } };
    t.match(JSON.parse(Buffer.from(operation.deploy.manifest, 'base64').toString()), { kind: 'Deployment' });

    const json = `{"operation":{"account":"${account}","get":{"object":{"kind":"Pod","name":"a"}}}}`;
    const yaml = `account: ${account}\nget: {object: {kind: Pod, name: a}}\n`;
    const text = `account: "${account}" get { object { kind: "Pod" name: "a" } }`;
    for (const whole of [json, yaml, text]) {
      const sent = await run('ops send -f -', whole);
      t.equal(sent.code, 0, sent.err);
    }
  });

  await t.test('nobody waits: the operation goes on, and can be waited for', async (t) => {
    const sent = await run(`ops send restart apps/v1/Deployment web -n default -a ${account} --wait 0`);
    t.equal(sent.code, 6, 'only what completed is 0');
    const id = /ops watch (\w{26})\n/u.exec(sent.out)?.[1] ?? '';
    t.match(await run(`ops watch ${id} --wait 20`), { code: 0, out: /restart +sim-0-0 .*completed/ });
  });

  await t.test('what is wrong is said, with an exit code for it', async (t) => {
    const port = await freePort();
    const cases: [number, RegExp, string, string?][] = [
      [
        2,
        /^agent-gateway: unknown command "ops send stale"; did you mean ops send scale\?\nTry: agent-gateway ops send --help\n$/u,
        'ops send stale -a x',
      ],
      [2, /--account is missing/, 'ops send get Pod a'],
      [2, /KIND is missing/, 'ops send get -a x'],
      [2, /NAME is missing, as in: agent-gateway ops send get KIND NAME/, 'ops send get Pod -a x'],
      [2, /--replicas is missing/, 'ops send scale Deployment web -a x'],
      [2, /--file is missing/, 'ops send deploy -a x'],
      [2, /one YAML document, it has 2/, 'ops send deploy -a x -f -', 'a: 1\n---\nb: 1\n'],
      [2, /--file is not YAML/, 'ops send deploy -a x -f -', 'a: [1\n'],
      [2, /--file: ENOENT/, 'ops send deploy -a x -f /no/such/file'],
      [2, /--file is not an operation .*line 1, column 14/, 'ops send -a x -f -', 'account: "x" gte { }'],
      [2, /give REQUEST KIND NAME/, 'ops send'],
      [2, /--items must be a whole number from 1 to 500, not "many"/, 'ops list --items many'],
      [2, /--outcome must be one of pending, .*, not "good"/, 'ops list --outcome good'],
      [2, /--since must be a time .* not "yesterday"/, 'ops list --since yesterday'],
      [2, /--output must be one of table, json, yaml, not "xml"/, 'agents -o xml'],
      [2, /--rest must be a URL/, 'agents --rest localhost:7002'],
      [2, /^agent-gateway: no such flag: --nonsense\n/, 'agents --nonsense'],
      [2, /unexpected "two"; agents takes \[ID\]/, 'agents one two'],
      [2, /which command\? Expected one of: send, get, list, watch/, 'ops'],
      [2, /SHELL must be one of bash, zsh, fish/, 'completion tcsh'],
      [3, /account "nobody" is not known/, 'ops send get Pod a -a nobody'],
      [3, /operation 01ARZ3NDEKTSV4RRFFQ69G5FAV is not known/, 'ops get 01ARZ3NDEKTSV4RRFFQ69G5FAV'],
      [3, /agent "nobody" is not connected/, 'agents nobody'],
      [3, /account "nobody"/, 'accounts nobody'],
      [2, /--id must be a ULID/, `ops send get Pod a -a ${account} --id 1`],
      [
        5,
        new RegExp(`http://127.0.0.1:${port} does not answer: .*ECONNREFUSED`, 'u'),
        `agents --rest http://127.0.0.1:${port}`,
      ],
    ];
    for (const [code, message, line, stdin] of cases) {
      const ran = await run(line, stdin);
      t.equal(ran.code, code, `${line}: ${ran.err}`);
      t.match(ran.err, message);
      t.equal(ran.out, '');
    }
  });

  await t.test('watch prints operations as they come, until it is stopped', async (t) => {
    const watching = start(['ops', 'watch', '-a', 'sim-1-0'], restUrl);
    await waitFor(() => watching.texts.out.startsWith('OPERATION'));
    const sent = await run('ops send delete Pod web-0 -n default -a sim-1-0');
    const id = /^operation (\w{26})/u.exec(sent.out)?.[1] ?? '';
    await waitFor(() => new RegExp(`${id} .*completed`, 'u').test(watching.texts.out));
    watching.stop();
    t.equal(await watching.code, 130);
  });
});

test('a failed operation ends with 1, one without a result with 6', async (t) => {
  const { agentsAddress, restUrl } = await startGateway(t);
  const failing = await startSimulatedAgents({
    ...{ addresses: [agentsAddress], agents: 1, accounts: 1, latencyMs: 1, failureRate: 1 },
  });
  t.teardown(() => failing.stop());
  const slow = await startSimulatedAgents({
    ...{ addresses: [agentsAddress], agents: 1, firstAgent: 7, accounts: 1, latencyMs: 60_000 },
  });
  t.teardown(() => slow.stop({ drainMs: 0 }));
  for (const agents of [failing, slow]) await agents.ready(AbortSignal.timeout(120_000));
  const failed = start(['ops', 'send', 'get', 'Pod', 'a', '-a', failing.accounts[0] ?? ''], restUrl);
  t.equal(await failed.code, 1);
  t.match(failed.texts.out, /^operation \w{26}: [45]\d\d /u);
  const none = start(['ops', 'send', 'get', 'Pod', 'a', '-a', slow.accounts[0] ?? '', '--wait', '1'], restUrl);
  t.equal(await none.code, 6);
  t.match(none.texts.out, /is under way/);
  const ended = start(['ops', 'send', 'get', 'Pod', 'a', '-a', slow.accounts[0] ?? '', '--timeout', '1'], restUrl);
  t.equal(await ended.code, 6, ended.texts.err);
  t.match(ended.texts.err, /had no result after 1000 ms/);
});

test('agents, accounts and instances', async (t) => {
  const { run } = await setUp(t);
  const agents = await run('agents');
  t.match(agents.out, /^AGENT +INSTANCE +CACHING +CONNECTED SINCE +ACCOUNTS\nsim-agent-0 +gateway-under-test +yes /u);
  t.match(JSON.parse((await run('agents sim-agent-1 -o json')).out), { agentId: 'sim-agent-1' });
  t.match(
    (await run('accounts')).out,
    /^ACCOUNT +AGENTS +SERVED BY\nsim-0-0 +1 +sim-agent-0 \(gateway-under-test\)\n/u,
  );
  t.match(JSON.parse((await run('accounts sim-1-1 -o json')).out), {
    name: 'sim-1-1',
    agents: [{ agentId: 'sim-agent-1' }],
  });
  t.match(parseYaml((await run('instances -o yaml')).out), [{ id: gatewayId, ready: true }]);
  t.match((await run(`instances ${gatewayId}`)).out, new RegExp(`^INSTANCE +READY .*\n${gatewayId} +yes `, 'u'));
});

test('help names every flag', async (t) => {
  for (const command of ['ops send', 'ops list', 'agents', 'completion']) {
    const { texts, code } = start([...command.split(' '), '--help'], 'http://127.0.0.1:1');
    t.equal(await code, 0);
    t.match(texts.out, new RegExp(`^Usage: agent-gateway ${command} `, 'u'));
    t.match(texts.out, /Exit code: 0 done;/);
  }
});

test('callers who must authenticate', async (t) => {
  const directory = t.testdir({
    token: 'secret-word\n',
    'tokens.yml': `tokens: [{name: me, sha256: ${createHash('sha256').update('secret-word').digest('hex')}}]`,
    'policy.yml': "callers: [{name: me, match: ['token:me'], role: read}]",
  });
  const { restUrl } = await startGateway(t, {
    'server.auth.tokens.file': join(directory, 'tokens.yml'),
    'server.auth.policyFile': join(directory, 'policy.yml'),
  });
  const run = (argv: string[], environment = {}): Promise<Ran> =>
    runCommand(argv, { environment: { AGENT_GATEWAY_REST: restUrl, ...environment } });
  t.match(await run(['instances']), { code: 4, err: /no credentials: expected a token/u });
  t.match(await run(['instances', '--token-file', join(directory, 'token')]), { code: 0, out: /gateway-under-test/u });
  t.match(await run(['instances'], { AGENT_GATEWAY_TOKEN_FILE: join(directory, 'token') }), { code: 0 });
  t.match(await run(['instances'], { AGENT_GATEWAY_TOKEN: 'secret-word' }), { code: 0 });
  const other = await run(['instances'], { AGENT_GATEWAY_TOKEN: 'other-word' });
  t.match(other, { code: 4, err: /token refused/u });
  t.notMatch(other.err, /other-word/u);
  t.match(await run(['instances', '--token-file', '/none']), { code: 2, err: /--token-file: ENOENT/u });
  t.match(await run(['instances', '--cert', '/x']), { code: 2, err: /give both --cert and --key, or neither/u });
  t.match(await run(['ops', 'send', 'get', 'Pod', 'x', '-a', 'b'], { AGENT_GATEWAY_TOKEN: 'secret-word' }), {
    code: 4,
    err: /this needs the role operate/u,
  });
});

test('status: which account fails, who is gone, since when and why', async (t) => {
  const { agentsAddress, restUrl } = await startGateway(t, {
    'kubesvc.instances.leaseMs': 1_000,
    'kubesvc.instances.heartbeatMs': 200,
  });
  const run = async (line: string): Promise<Ran> => {
    const { texts, code } = start(line.split(' '), restUrl);
    return { code: await code, ...texts };
  };
  const common = { addresses: [agentsAddress], agents: 1, accounts: 1, latencyMs: 1 };
  const failing = await startSimulatedAgents({ ...common, failureRate: 1 });
  const leaving = await startSimulatedAgents({ ...common, firstAgent: 7 });
  t.teardown(() => Promise.all([failing.stop(), leaving.stop()]));
  for (const agents of [failing, leaving]) await agents.ready(AbortSignal.timeout(120_000));

  const well = await waitFor(async () => {
    const status = await run('status');
    return status.out.startsWith('ok: ') ? status : undefined;
  });
  t.equal(well.out, 'ok: 1 of 1 instances are ready, 2 agents connected, 2 accounts served\n');

  t.equal((await run('ops send scale apps/v1/Deployment web -n default --replicas 3 -a sim-0-0')).code, 1);
  await leaving.stop();
  const ill = await waitFor(async () => {
    const status = await run('status');
    return /operations of/u.test(status.out) && /offline/u.test(status.out) ? status : undefined;
  });
  t.match(
    ill.out,
    /^operations of 1 account failed within the last hour\nACCOUNT .*\nsim-0-0 +1 +1 +20\S+Z +failing +failed: \w/u,
  );
  t.match(
    ill.out,
    new RegExp(
      `\n1 account offline: no agent serves them\nACCOUNT .*\nsim-7-0 +20\\S+Z +sim-agent-7 +${gatewayId} +said goodbye\n`,
      'u',
    ),
  );
  t.match(JSON.parse((await run('status -o json')).out), { ok: false, failures: { items: [{ account: 'sim-0-0' }] } });

  t.match(
    (await run('agents --offline')).out,
    /^AGENT +OFFLINE SINCE .*\nsim-agent-7 +20\S+Z .* sim-7-0 +said goodbye\n$/u,
  );
  t.match((await run('accounts --offline')).out, /\nsim-7-0 +20\S+Z +sim-agent-7 /u);
  t.match((await run('instances --offline')).out, /^INSTANCE .*\n$/u);
  t.match(await run('agents sim-agent-7'), { code: 3, err: /offline since 20\S+Z, last seen at .*, said goodbye/u });
  t.equal((await run('forget agent sim-agent-0')).code, 4, 'not while it is connected');
  t.equal((await run('forget agent sim-agent-7')).code, 0);
  t.match((await run('accounts --offline')).out, /^ACCOUNT .*\n$/u);
  t.equal((await run('forget agent sim-agent-7')).code, 3);
  t.equal((await run(`forget instance ${gatewayId}`)).code, 4, 'it is alive');
});
