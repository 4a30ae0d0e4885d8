/**
 * What people type, and what is right: as kubectl, POSIX tools and the documentation have it.
 * A flag has an effect, or is refused with its name.
 */

import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { run } from '../commands/run-command.js';
import { obliging, startGatewayDouble, type Asked } from './gateway-double.js';

const id = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const web = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n';
const inShop = 'apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\n';
const list = `apiVersion: v1\nkind: List\nitems:\n- ${web.replaceAll('\n', '\n  ')}\n`;

const decoded = (base64: unknown) =>
  JSON.parse(Buffer.from(String(base64), 'base64').toString()) as Record<string, unknown>;

/** The manifest that arrived. */
function manifest({ operation }: Asked, request = 'deploy') {
  return decoded((operation[request] as { manifest?: unknown } | undefined)?.manifest);
}

function ago({ query }: Asked): number {
  return Math.round((Date.now() - Date.parse(query['since'] ?? '')) / 1_000);
}

type Sent = readonly [line: string, found: (asked: Asked) => unknown, expected: unknown, stdin?: string];

const sent: readonly Sent[] = [
  // kubectl apply -n: the namespace of what has none.
  ['ops send deploy -n prod -a x -f -', manifest, { metadata: { name: 'web', namespace: 'prod' } }, web],
  ['ops send deploy -nprod -a x -f -', manifest, { metadata: { namespace: 'prod' } }, web],
  ['ops send deploy -n=prod -a x -f -', manifest, { metadata: { namespace: 'prod' } }, web],
  ['ops send deploy --namespace=prod -a x -f -', manifest, { metadata: { namespace: 'prod' } }, web],
  ['ops -n prod -a x send deploy -f -', manifest, { metadata: { namespace: 'prod' } }, web],
  ['ops send deploy -a x -f -', manifest, { metadata: { name: 'web', namespace: undefined } }, web],
  ['ops send deploy -a x -f -', manifest, { metadata: { namespace: 'shop' } }, inShop],
  ['ops send deploy -n shop -a x -f -', manifest, { metadata: { namespace: 'shop' } }, inShop],
  ['ops send deploy -n prod -a x -f -', manifest, { items: [{ metadata: { namespace: 'prod' } }] }, list],
  ['ops send deploy -n prod -a x -f -', manifest, { metadata: { namespace: 'prod' } }, 'kind: Pod\nmetadata: null\n'],
  ['ops send run-job -n prod -a x -f -', (a) => manifest(a, 'runJob'), { metadata: { namespace: 'prod' } }, web],
  ['ops send get Pod a -n prod -a x', (a) => a.operation['get'], { object: { kind: 'Pod', namespace: 'prod' } }],
  ['ops send get Pod -a x -- -odd', (a) => a.operation['get'], { object: { name: '-odd' } }],
  ['ops send scale apps/v1/Deployment web -a x --replicas 0', (a) => a.operation['scale'], { replicas: 0 }],
  ['ops send delete Pod -l app=web -a x', (a) => a.operation['delete'], { labelSelector: 'app=web' }],
  ['ops send logs Pod a -c web --tail 9 -a x', (a) => a.operation['logs'], { container: 'web', tailLines: 9 }],
  ['ops send get Pod a -a x --timeout 1.5m', (a) => a.operation['timeoutMs'], 90_000],
  ['ops send get Pod a -a x --timeout 20', (a) => a.operation['timeoutMs'], 20_000],
  ['ops send get Pod a -a x --wait 1m', (a) => a.headers['prefer'], 'wait=60'],
  ['ops send get Pod a -a x', (a) => a.headers['prefer'], 'wait=30'],
  [`ops send get Pod a -a x --id ${id}`, (a) => a.operation['id'], id],
  ['ops send -f -', (a) => a.operation['account'], 'b', 'account: b\nget: {object: {kind: Pod, name: a}}\n'],
  ['ops send -f - -a x', (a) => a.operation['account'], 'x', 'account: "b" get { object { kind: "Pod" } }'],
  ['ops list --since 2h', ago, 7_200],
  ['ops list --since 1h30m', ago, 5_400],
  ['ops list --since 2026-03-01', (a) => a.query['since'], '2026-03-01T00:00:00.000Z'],
  ['ops list --since 2026-03-01T12:00:00+01:00', (a) => a.query['since'], '2026-03-01T11:00:00.000Z'],
  ['ops list --outcome TIMED_OUT --items 5 --page 2', (a) => a.query, { outcome: 'timed out', items: '5', page: '2' }],
  ['ops list -a "a b"', (a) => a.query['account'], 'a b'],
  ['ops get a/../b', (a) => a.path, '/armory/agent/operations/a%2F..%2Fb'],
  ['agents a?b#c', (a) => a.path, '/armory/agents/a%3Fb%23c'],
];

/** As a shell divides it, for the quotes that are used here. */
function wordsOf(line: string): string[] {
  return (line.match(/(?:[^\s"]|"[^"]*")+/gu) ?? []).map((word) => word.replaceAll('"', ''));
}

const record = { operationId: id, operationType: 'get', account: 'x', startTime: '' };
const agent = { agentId: 'a', accounts: [], clouddriverId: 'c', lastConnection: '' };

test('what is given arrives', async (t) => {
  const double = await startGatewayDouble(t, (asked) =>
    asked.method === 'POST' || /(agents|operations)$/u.test(asked.path)
      ? obliging(asked)
      : { body: { ...record, ...agent } },
  );
  for (const [line, found, expected, stdin = ''] of sent) {
    const before = double.requests.length;
    const { code, err } = await run(wordsOf(line), { environment: { AGENT_GATEWAY_REST: double.url }, stdin });
    t.same([code, err], [0, ''], line);
    const [asked] = double.requests.slice(before);
    t.match(asked === undefined ? undefined : found(asked), expected, line);
  }
});

type Refused = readonly [line: string, message: string | RegExp, stdin?: string];

const refused: readonly Refused[] = [
  // Flags where they have no effect.
  [
    'ops send get Pod a -a x --replicas 3',
    '--replicas does not apply to ops send get KIND NAME, only to ops send scale',
  ],
  ['ops send get Pod a -a x -l app=web', '-l does not apply to ops send get KIND NAME, only to ops send delete KIND'],
  ['ops send delete Pod a -l app=web -a x', '-l does not apply to ops send delete KIND NAME, only to'],
  [
    'ops send restart Deployment a -a x -c web',
    '-c does not apply to ops send restart KIND NAME, only to ops send logs',
  ],
  ['ops send scale Deployment a -a x --replicas 1 --tail 5', '--tail does not apply to ops send scale KIND NAME'],
  ['ops send deploy -l app=web -a x -f -', '-l does not apply to ops send deploy, only to', web],
  ['ops send get Pod a -a x -f -', '-f does not apply to ops send get KIND NAME, only to'],
  ['ops send -n prod -f -', '-n does not apply to ops send, only to', 'account: x\n'],
  ['ops watch --wait 5', '--wait does not apply to ops watch, only to ops watch ID'],
  [`ops watch ${id} -a x`, '-a does not apply to ops watch ID, only to ops watch'],
  [`ops get ${id} --wait 5`, '--wait does not apply to ops get ID'],
  ['agents -a x', '-a does not apply to agents [ID]'],
  ['version -o json', '-o does not apply to version'],
  ['agent --agents 5', '--agents does not apply to agent, only to simulate'],
  [`agents --cacert ${fileURLToPath(import.meta.url)}`, '--cacert needs an https URL'],
  ['ops list -a x -a y', '--account is given twice'],
  ['ops send deploy -a x -f one.yaml -f two.yaml', '--file is given twice'],
  ['--config gateway.yml serve', 'serve must come before its flags'],
  // Values.
  ['ops list --since 2', '--since must be a time such as 2026-03-01T12:00:00Z or 2026-03-01, or how long ago: 90s'],
  ['ops list --since 2026-02-30', '--since must be a time'],
  ['ops list --since 2026-03-01T12:00:00', '--since must be a time'],
  ['ops list --since -2h', '--since must be a time'],
  ['ops list --until 2weeks', '--until must be a time'],
  ['ops list --since 1h --until 2h', '--until must be later than --since'],
  ['ops list --items 0', '--items must be a whole number from 1 to 500, not "0"'],
  ['ops list --items 1e2', '--items must be a whole number'],
  ['ops list --page -1', '--page must be a whole number from 0 to 10000, not "-1"'],
  ['ops list --outcome compleated', '--outcome must be one of pending, completed'],
  ['ops list --outcome', '--outcome needs a value: OUTCOME'],
  ['ops send scale Deployment a -a x --replicas 0x10', '--replicas must be a whole number'],
  ['ops send scale Deployment a -a x --replicas=', '--replicas must be a whole number from 0 to 2147483647, not ""'],
  ['ops send get Pod a -a x --timeout 0', '--timeout must be a time from 1 to 3600 whole seconds'],
  ['ops send get Pod a -a x --timeout 5x', '--timeout must be a time from 1 to 3600 whole seconds'],
  ['ops send get Pod a -a x --wait 500ms', '--wait must be a time from 0 to 3600 whole seconds'],
  ['ops send get Pod a -a x --wait 2h', '--wait must be a time from 0 to 3600 whole seconds'],
  ['ops send get Pod a -a ""', '--account must be the name of an account, not ""'],
  ['ops get ""', 'ID must not be empty'],
  ['ops get ..', '".." is not a valid name'],
  ['ops send get deployment/web web -a x', 'NAME is the argument after it'],
  ['agents --rest ftp://host', '--rest must be a URL'],
  ['agents --rest http://host?x', '--rest must be a URL'],
  ['agents --rest http://me:secret@host', /^agent-gateway: --rest must be .*\/\/me:\*\*\*@host/u],
  // Manifests.
  [
    'ops send deploy -n prod -a x -f -',
    'the namespace from the provided object "shop" does not match the namespace "prod". ' +
      "You must pass '--namespace=shop' to perform this operation.",
    inShop,
  ],
  ['ops send deploy -a x -f -', '--file must have an object: deploy needs one', '- a\n'],
  ['ops send patch Deployment web -a x -f -', '--file must have an object: patch needs one', 'word\n'],
  ['ops send deploy web.yaml -a x -f -', 'unexpected "web.yaml"; ops send deploy takes no arguments', web],
  // Nearest names.
  ['agnts', 'unknown command "agnts"; did you mean agents?'],
  ['doctro', 'unknown command "doctro"; did you mean doctor?'],
  ['ops lst', 'unknown command "ops lst"; did you mean ops list?'],
  ['ops send delpoy -a x -f -', 'unknown command "ops send delpoy"; did you mean ops send deploy?', web],
  ['help ops sned', 'unknown command "ops sned"; did you mean ops send?'],
  ['ops list --ouptut json', 'no such flag: --ouptut; did you mean --output?'],
  ['ops send deploy --flie a.yaml -a x', 'no such flag: --flie; did you mean --file?'],
  ['simulate --durtion 5', 'no such flag: --durtion; did you mean --duration?'],
  ['agent --confg agent.yml', 'no such flag: --confg; did you mean --config?'],
  ['doctor --output', '--output must be one of text, json'],
  ['xyzzy', 'unknown command "xyzzy"; expected one of: serve, agent'],
  ['agents -z', 'no such flag: -z'],
];

test('what is wrong is refused with its name, and nothing is sent', async (t) => {
  const double = await startGatewayDouble(t);
  for (const [line, message, stdin = ''] of refused) {
    const environment = { AGENT_GATEWAY_REST: double.url };
    const { code, out, err } = await run(wordsOf(line), { environment, stdin });
    t.same([line, code, out], [line, 2, '']);
    if (typeof message === 'string')
      t.ok(err.startsWith('agent-gateway: ') && err.includes(message), `${line}: ${err}`);
    else t.match(err, message, line);
    t.match(err, /\nTry: agent-gateway .*--help\n$/u, line);
    t.notMatch(err, /secret/u);
  }
  const { err } = await run(['agents'], { environment: { AGENT_GATEWAY_REST: 'http://me:secret@host' } });
  t.match(err, /^agent-gateway: AGENT_GATEWAY_REST must be a URL .*"http:\/\/me:\*\*\*@host"/u);
  t.equal(double.requests.length, 0);
});

test('the path of --rest and of AGENT_GATEWAY_REST is kept', async (t) => {
  const double = await startGatewayDouble(t);
  for (const path of ['/behind/proxy', '/behind/proxy/']) {
    await run(['instances', '--rest', double.url + path]);
    await run(['ops', 'get', id], { environment: { AGENT_GATEWAY_REST: double.url + path } });
    await run(['ops', 'send', 'get', 'Pod', 'a', '-a', 'x', '--rest', double.url + path]);
  }
  const paths = ['clouddrivers', `agent/operations/${id}`, 'agent/operations'].map((p) => `/behind/proxy/armory/${p}`);
  t.same(
    double.requests.map(({ path }) => path),
    [...paths, ...paths],
  );
});

test('only what completed ends with 0', async (t) => {
  const cases: readonly [line: string, code: number, answer: unknown, said: RegExp][] = [
    ['ops send get Pod a -a x', 0, { result: { status: 200 } }, /^operation \w+: 200/u],
    ['ops send get Pod a -a x', 1, { result: { status: 409, message: 'conflict' } }, /: 409 conflict/u],
    ['ops send get Pod a -a x', 6, {}, /is under way; agent-gateway ops watch \w{26} --rest http/u],
    ['ops send get Pod a -a x --wait 0', 6, {}, /is under way; agent-gateway ops watch/u],
    ['ops send get Pod a -a x --wait 0 -o json', 6, { operation: {} }, /"operation"/u],
    [`ops watch ${id} --wait 0`, 6, record, /pending/u],
    [`ops watch ${id} --wait 0`, 0, { ...record, finalOutcome: 'completed' }, /completed/u],
    [`ops watch ${id} --wait 0`, 1, { ...record, finalOutcome: 'agent lost' }, /agent lost/u],
    [`ops watch ${id} --wait 0`, 1, { ...record, finalOutcome: 'timed out' }, /timed out/u],
  ];
  for (const [line, code, answer, said] of cases) {
    const double = await startGatewayDouble(t, () => ({ body: answer }));
    const ran = await run([...wordsOf(line), '--rest', double.url]);
    t.equal(ran.code, code, line);
    t.match(ran.out, said, line);
    t.equal(double.requests[0]?.headers['prefer'] === undefined, !line.includes('send') || line.includes('--wait 0'));
  }
});

test('when the connection breaks after an operation was sent, its id is told', async (t) => {
  const double = await startGatewayDouble(t, () => 'reset');
  const { code, err } = await run(wordsOf(`ops send get Pod a -a x --id ${id} --rest ${double.url}`));
  t.equal(code, 6);
  t.match(err, new RegExp(`To watch it: agent-gateway ops watch ${id}`, 'u'));
});

test('an answer that no gateway gives is one sentence', async (t) => {
  const answers = [{}, [{}], [null], null, 'text', { type: 'list' }, [{ agentId: 1 }], { operationId: null }];
  for (const body of answers) {
    const double = await startGatewayDouble(t, () => ({ body: JSON.stringify(body) }));
    for (const line of ['agents', 'agents a', 'accounts', 'instances', 'ops list', 'ops watch', `ops watch ${id}`]) {
      const { code, out, err } = await run([...wordsOf(line), '--rest', double.url]);
      t.same([code, out], [5, ''], line);
      t.match(
        err,
        /^agent-gateway: http:\S+ (did not answer with JSON|gave an unexpected answer), as no gateway does/u,
        line,
      );
    }
  }
});

test('every command has help and tells the version', async (t) => {
  const names = [
    '',
    'serve',
    'agent',
    'migrate',
    'doctor',
    'simulate',
    'ops',
    'ops send',
    'ops send deploy',
    'ops get',
  ];
  for (const name of [
    ...names,
    'ops list',
    'ops watch',
    'agents',
    'accounts',
    'instances',
    'revoke-tokens',
    'completion',
    'version',
  ]) {
    const words = wordsOf(name);
    const help = await run([...words, '--help']);
    t.match(help, {
      code: 0,
      err: '',
      out: new RegExp(`^Usage: agent-gateway ${name === '' ? 'COMMAND' : name} `, 'u'),
    });
    t.same(await run([...words, '-h']), help);
    t.same(await run(['help', ...words]), help);
    t.same(await run([...words, '--version']), { code: 0, out: '1.2.3\n', err: '' });
    for (const line of help.out.split('\n')) t.notMatch(line, /undefined|\[object/u);
  }
  t.match((await run(['serve', '--help'])).out, /Every setting .* is a flag too/u);
});
