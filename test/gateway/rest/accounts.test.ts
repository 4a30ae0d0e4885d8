/** Dynamic accounts as callers see them, and that no kubeconfig gets out anywhere. */

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test, type Test } from 'tap';
import type { DynamicAccount } from '../../../src/protocol/generated/ops/operations_pb.js';
import { startSimulatedAgents } from '../../../src/simulate/agents.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway, type RunningGateway } from '../running-gateway.js';

const accounts = '/armory/accounts';
const key = Buffer.alloc(32, 7).toString('base64');
const canary = 'canary-token-3f9c1e';
const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{ name: c, cluster: { server: "https://cluster.example" } }]
users: [{ name: u, user: { token: ${canary} } }]
contexts: [{ name: x, context: { cluster: c, user: u } }]
current-context: x
`;

interface Account {
  readonly name: string;
  readonly status: string;
  readonly zoneId: string;
  readonly errorMessage?: string;
  readonly failedCount: number;
  readonly connections: number;
  readonly config: Readonly<Record<string, unknown>>;
  readonly agents?: readonly { readonly agentId: string }[];
}

function api({ request }: RunningGateway) {
  const send = (method: string, path: string, body?: unknown) =>
    request(path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
  const get = async (name: string) => (await request(`${accounts}/${name}`)).body as unknown as Account;
  const reaches = (name: string, status: string) =>
    waitFor(async () => ((await get(name)).status === status ? await get(name) : undefined), {
      description: `${name} to be ${status}`,
    });
  return { send, get, reaches };
}

async function agents(t: Test, { agentsAddress }: RunningGateway, given: DynamicAccount[] = [], firstAgent = 0) {
  const started = await startSimulatedAgents({
    addresses: [agentsAddress],
    agents: 1,
    accounts: 0,
    firstAgent,
    zoneId: firstAgent === 0 ? 'zone-a' : 'zone-b',
    dynamic: { failing: /^bad/u, onAdd: (account) => given.push(account) },
  });
  t.teardown(() => started.stop());
  await started.ready(AbortSignal.timeout(120_000));
  return started;
}

test('off: 501, but for what agents registered', async (t) => {
  const gateway = await startGateway(t);
  const { send } = api(gateway);
  await RawAgent.register(t, gateway.agentsAddress, {
    agentId: 'agent',
    accounts: [{ name: 'own', namespaces: ['a', 'b'], properties: { region: 'eu' }, kubeVersion: 'v1.33.0' }],
  });
  const requests: [string, string, unknown?][] = [
    ['GET', accounts],
    ['GET', `${accounts}/own`],
    ['POST', accounts, [{ name: 'a', kubeconfigFile: '/a' }]],
    ['PATCH', accounts, [{ name: 'a' }]],
    ['DELETE', accounts, ['a']],
    ['DELETE', `${accounts}/a`],
    ['POST', `${accounts}/dynamic`, { name: 'a', serviceAccount: true }],
    ['PUT', `${accounts}/dynamic`, { name: 'a', serviceAccount: true }],
  ];
  for (const [method, path, body] of requests) {
    const answer = await send(method, path, body);
    t.match(answer.body, { status: 501, type: 'urn:agent-gateway:problem:not-implemented' }, `${method} ${path}`);
    t.match(String(answer.body['detail']), /kubesvc\.dynamicAccounts\.enabled/u);
  }
  const own = await send('GET', '/agents/kubernetes/accounts/own');
  t.match(own.body, {
    ...{ name: 'own', status: 'ACTIVE', dynamic: false, connections: 1, kubeVersion: 'v1.33.0', retryCount: 0 },
    ...{ properties: { region: 'eu' }, props: '{"region":"eu"}', definition: {}, permissions: {} },
  });
  t.same((await send('GET', '/agents/kubernetes/accounts/own/namespaces')).body, ['a', 'b']);
  t.equal((await send('GET', '/agents/kubernetes/accounts/nobody')).status, 404);
  t.equal((await send('GET', '/agents/kubernetes/accounts/nobody/namespaces')).status, 404);
});

test('requests and their answers', async (t) => {
  const gateway = await startGateway(t, { 'kubesvc.dynamicAccounts.enabled': true });
  const { send } = api(gateway);
  await RawAgent.register(t, gateway.agentsAddress, { agentId: 'agent', accounts: [{ name: 'own' }] });
  const added = await send('POST', `${accounts}/dynamic`, [
    { name: 'one', serviceAccount: true, namespaces: ['default'], zoneId: 'z' },
    { name: 'two', kubeconfigFile: '/home/agent/kubeconfig' },
  ]);
  t.equal(added.status, 202);
  t.same(added.body, []);
  const again = await send('POST', `${accounts}/dynamic`, [
    { name: 'three', kubeconfigContents: 'encryptedFile:k8s!n:kubeconfig!k:config!ns:spinnaker' },
    { name: 'one', serviceAccount: true },
    { name: 'own', serviceAccount: true },
  ]);
  t.equal(again.status, 409, 'some are there already');
  t.match(
    (again.body as unknown as { name: string }[]).toSorted((a, b) => a.name.localeCompare(b.name)),
    [
      { name: 'one', state: 'INACTIVE', zoneId: 'z', dynamic: true },
      { name: 'own', state: 'ACTIVE', dynamic: false },
    ],
  );
  const listed = (await send('GET', `${accounts}?items=2`)).body as unknown as Account[];
  t.match(
    listed.map(({ name, status }) => [name, status]),
    [
      ['one', 'INACTIVE'],
      ['three', 'INACTIVE'],
    ],
    'the others were added all the same',
  );
  t.match((await send('GET', `${accounts}?items=2&after=three`)).body, [{ name: 'two' }]);
  t.match((await send('GET', `${accounts}?zoneId=z`)).body, [{ name: 'one', config: { namespaces: ['default'] } }]);
  t.same((await send('GET', `${accounts}?status=ACTIVE`)).body, []);

  const refused: [string, string, unknown, number, RegExp][] = [
    ['POST', accounts, [], 400, /body/u],
    ['PATCH', accounts, [], 400, /body/u],
    ['DELETE', accounts, [], 400, /body/u],
    ['POST', `${accounts}/dynamic`, [], 400, /body/u],
    ['PUT', `${accounts}/dynamic`, [], 400, /body/u],
    ['PUT', `${accounts}/dynamic`, [{ name: 'one', serviceAccount: true }], 400, /body/u],
    ['POST', `${accounts}/dynamic`, { name: 'x' }, 400, /body\.0: expected one of kubeconfigContents/u],
    ['POST', `${accounts}/dynamic`, { name: 'x', serviceAcount: true }, 400, /did you mean "serviceAccount"/u],
    ['POST', `${accounts}/dynamic`, { name: 'x y', serviceAccount: true }, 400, /name/u],
    ['POST', `${accounts}/dynamic`, { name: 'x', kubeconfigFile: 'encryptedFile:s3!b:x' }, 400, /engine "s3"/u],
    ['POST', `${accounts}/dynamic`, { name: 'x', kubeconfigContents: 'hello' }, 400, /expected a kubeconfig/u],
    ['POST', `${accounts}/dynamic`, { name: 'x', kubeconfigContents: kubeconfig }, 400, /encryptionKey is not set/u],
    ['POST', accounts, [{ name: 'x' }], 400, /clouddriverUrl/u],
    ['POST', accounts, [{ name: 'x', state: 'ORPHANED' }], 400, /state: expected one of ACTIVE, INACTIVE/u],
    ['PATCH', accounts, [{ name: 'one' }, { name: 'one' }], 400, /named twice/u],
    ['PATCH', accounts, [{ name: 'nobody', state: 'ACTIVE' }], 404, /"nobody": not known/u],
    ['DELETE', accounts, ['nobody', 'two'], 404, /"nobody": not known; the other 1 were accepted/u],
    ['DELETE', `${accounts}/own`, undefined, 409, /"own": not dynamic, but an agent's own/u],
    ['PUT', `${accounts}/dynamic`, { name: 'nobody', serviceAccount: true }, 404, /"nobody"/u],
    ['GET', `${accounts}?after=%00`, undefined, 400, /query\.after/u],
    ['GET', `${accounts}?zoneId=%00`, undefined, 400, /query\.zoneId/u],
    ['GET', `${accounts}/%00`, undefined, 400, /params\.name/u],
    ['GET', '/agents/kubernetes/accounts/%00/namespaces', undefined, 400, /params\.name/u],
    ['GET', `${accounts}/nobody`, undefined, 404, /"nobody" is not known/u],
  ];
  for (const [method, path, body, status, detail] of refused) {
    const answer = await send(method, path, body);
    t.equal(answer.status, status, `${method} ${path} ${JSON.stringify(body)}`);
    t.match(String(answer.body['detail']), detail);
    t.equal(answer.headers.get('content-type')?.split(';')[0], 'application/problem+json');
  }
  await waitFor(async () => (await send('GET', `${accounts}/two`)).status === 404, {
    description: 'an account without agents to be deleted',
  });
});

test('from INACTIVE to deleted, with an update in between; the kubeconfig reaches the agent and nothing else', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'dynamic-accounts-'));
  t.teardown(() => rm(directory, { recursive: true }));
  await writeFile(join(directory, 'from-file'), kubeconfig.replace('cluster.example', 'file.example'));
  const database = join(directory, 'database');
  const gateway = await startGateway(
    t,
    {
      'sql.url': `pglite:${database}`,
      'kubesvc.dynamicAccounts.enabled': true,
      'kubesvc.dynamicAccounts.encryptionKey': key,
      'kubesvc.dynamicAccounts.kubeconfigDirectory': directory,
      'kubesvc.dynamicAccounts.retryFrequencySeconds': 1,
    },
    { KUBECONFIG_CI: kubeconfig.replace('cluster.example', 'env.example'), OTHER: kubeconfig },
  );
  const { send, reaches, get } = api(gateway);
  const given: DynamicAccount[] = [];
  const started = await agents(t, gateway, given);
  const textOf = (name: string) =>
    Buffer.from(given.findLast((each) => each.name === name)?.kubeconfig ?? []).toString();

  await send('POST', `${accounts}/dynamic`, [
    { name: 'good', kubeconfigContents: kubeconfig, namespaces: ['default'] },
    { name: 'encoded', kubeconfigContents: Buffer.from(kubeconfig).toString('base64') },
    { name: 'by-file', kubeconfigFile: 'file:from-file' },
    { name: 'by-env', kubeconfigFile: 'env:KUBECONFIG_CI' },
    { name: 'outside', kubeconfigFile: 'file:../../etc/passwd' },
    { name: 'no-prefix', kubeconfigFile: 'env:OTHER' },
    { name: 'bad', kubeconfigContents: kubeconfig, zoneId: 'zone-a' },
  ]);
  t.match(await get('good'), { status: 'INACTIVE', config: { kubeconfigContents: '***', namespaces: ['default'] } });
  t.match(await get('by-file'), { config: { kubeconfigFile: 'file:from-file' } });
  const names = ['good', 'encoded', 'by-file', 'by-env', 'outside', 'no-prefix', 'bad'];
  const activated = await send(
    'PATCH',
    accounts,
    names.map((name) => ({ name, state: 'ACTIVE' })),
  );
  t.equal(activated.status, 202);
  for (const name of names.slice(0, 4)) {
    t.match(await reaches(name, 'ACTIVE'), { zoneId: 'zone-a', connections: 1, agents: [{ agentId: 'sim-agent-0' }] });
  }
  t.equal(textOf('good'), kubeconfig);
  t.equal(textOf('encoded'), kubeconfig);
  t.match(textOf('by-file'), /file\.example/u);
  t.match(textOf('by-env'), /env\.example/u);
  t.match(JSON.parse(given.find(({ name }) => name === 'good')?.definition ?? ''), { namespaces: ['default'] });

  await t.test('operations reach it', async (t) => {
    const answer = await gateway.operate('account: "good" get { object { kind: "Pod" name: "web" } }');
    t.equal(answer.status, 200);
  });

  await t.test('a failing one ends FAILED with the reason, after three more attempts', async (t) => {
    const ends = async (name: string) =>
      waitFor(async () => ((await get(name)).failedCount === 4 ? await get(name) : undefined), {
        description: `${name} to be given up`,
      });
    t.match(await ends('bad'), {
      status: 'FAILED',
      errorMessage: /sim-agent-0: the simulated cluster of "bad" refuses/u,
    });
    t.equal(given.filter(({ name }) => name === 'bad').length, 4, 'the agent was asked four times');
    t.match(await ends('outside'), { status: 'FAILED', errorMessage: /kubeconfigFile: no readable file/u });
    t.match(await ends('no-prefix'), { status: 'FAILED', errorMessage: /begin with KUBECONFIG_/u });
  });

  await t.test('a new definition goes to the agent that serves it', async (t) => {
    const changed = kubeconfig.replace('cluster.example', 'moved.example');
    t.equal((await send('PUT', `${accounts}/dynamic`, { name: 'good', kubeconfigContents: changed })).status, 202);
    await waitFor(() => textOf('good') === changed, { description: 'the agent to get it' });
    t.match(await get('good'), { status: 'ACTIVE', config: { kubeconfigContents: '***' } });
    await send('PATCH', accounts, [{ name: 'good', kubeconfigFile: 'env:KUBECONFIG_CI' }]);
    await waitFor(() => textOf('good').includes('env.example'), { description: 'the next one' });
    t.same((await get('good')).config, { name: 'good', kubeconfigFile: 'env:KUBECONFIG_CI' });
  });

  await t.test('agents go and come back, and restarted ones get their accounts again', async (t) => {
    await started.stop();
    await reaches('good', 'ORPHANED');
    await agents(t, gateway, given, 1);
    const back = await agents(t, gateway, given);
    t.match(await reaches('good', 'ACTIVE'), { zoneId: 'zone-a', connections: 1 });
    await send('PATCH', accounts, [{ name: 'good', state: 'INACTIVE' }]);
    const { connections, agents: serving } = await reaches('good', 'INACTIVE');
    t.same({ connections, serving }, { connections: 0, serving: [] });
    t.notOk(back.connections.some(({ dynamicAccounts }) => dynamicAccounts.includes('good')));
    await send('DELETE', `${accounts}/good`);
    await waitFor(async () => (await send('GET', `${accounts}/good`)).status === 404);
    t.equal((await send('GET', '/agents/kubernetes/accounts/good')).status, 404);
  });

  await t.test('nothing of the kubeconfig is shown, logged or stored', async (t) => {
    const pages = [
      accounts,
      '/metrics',
      '/armory/agents',
      ...names.map((name) => `/agents/kubernetes/accounts/${name}`),
    ];
    for (const path of pages) {
      const text = await (await fetch(gateway.restUrl + path)).text();
      t.notOk(text.includes(canary), `${path} does not show it`);
      t.notOk(text.includes('sealed:'), `${path} does not show what is stored`);
    }
    t.notOk(JSON.stringify(gateway.log).includes(canary), 'the log does not have it');
    await gateway.gateway.stop();
    const { stdout } = await promisify(execFile)('grep', ['-rc', canary, database], { maxBuffer: 1 << 24 }).catch(
      // grep ends with 1 when it finds nothing.
      (error: unknown) => error as { readonly stdout: string },
    );
    t.same(
      stdout.split('\n').filter((line) => !/^$|:0$/u.test(line)),
      [],
      'no file of the database has it',
    );
  });
});

test('an agent that repeats the kubeconfig in what it says', async (t) => {
  const gateway = await startGateway(t, {
    'kubesvc.dynamicAccounts.enabled': true,
    'kubesvc.dynamicAccounts.encryptionKey': key,
    'kubesvc.dynamicAccounts.maxRetries': 0,
  });
  const { send, reaches } = api(gateway);
  const agent = await RawAgent.register(t, gateway.agentsAddress, { agentId: 'echo', dynamicAccounts: true });
  await send('POST', `${accounts}/dynamic`, { name: 'acc', kubeconfigContents: kubeconfig });
  await send('PATCH', accounts, [{ name: 'acc', state: 'ACTIVE' }]);
  const asked = await agent.next('addAccounts');
  const [{ name, version, kubeconfig: got }] = asked.accounts as [DynamicAccount];
  const message = `no: ${Buffer.from(got).toString()} / ${canary} / ${Buffer.from(canary).toString()}`;
  agent.send({ case: 'accountsAdded', value: { failures: [{ name, version, message }] } });
  const failed = await reaches('acc', 'FAILED');
  t.match(failed.errorMessage, /^agent echo: no: /u);
  t.notOk(failed.errorMessage?.includes(canary));
  t.notOk(JSON.stringify(gateway.log).includes(canary));
});
