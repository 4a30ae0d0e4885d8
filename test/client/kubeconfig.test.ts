/** `agent-gateway kubeconfig` and `GET /kubernetes/kubeconfig`: kubectl reads what they write, and keeps what is its user's. */

import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { parse } from 'yaml';
import { run as runCommand } from '../commands/run-command.js';
import { RawAgent } from '../gateway/raw-agent.js';
import { startGateway, type RunningGateway } from '../gateway/running-gateway.js';
import { clusterTools } from '../services/helm.js';
import { startGatewayDouble } from './gateway-double.js';

const eks = 'arn:aws:eks:eu-west-1:111122223333:cluster/prod';
const accounts = [
  { name: eks, properties: { kubernetesApi: 'full' } },
  { name: 'no', properties: { kubernetesApi: 'read' } },
  { name: 'closed', properties: { kubernetesApi: 'off' } },
  { name: 'older' },
];

async function directoryOf(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-kubeconfig-'));
  t.teardown(() => rm(directory, { recursive: true }));
  return directory;
}

async function registered(t: Test, settings: Readonly<Record<string, string>> = {}): Promise<RunningGateway> {
  const gateway = await startGateway(t, settings);
  await RawAgent.register(t, gateway.agentsAddress, { agentId: 'agent', accounts });
  return gateway;
}

/** A directory of its own beside the gateway. */
async function setUp(t: Test, gateway: RunningGateway) {
  const directory = await directoryOf(t);
  const file = join(directory, 'config');
  const environment = { AGENT_GATEWAY_REST: gateway.restUrl, HOME: directory, KUBECONFIG: file };
  const run = (line: string, more: Readonly<Record<string, string>> = {}) =>
    runCommand(line.split(' '), { environment: { ...environment, ...more } });
  return { ...gateway, directory, file, run };
}

/** What a user has: comments, flow and block style, words that YAML 1.1 takes for numbers and booleans, a context of an EKS cluster. */
const theirs = `# mine, do not touch
apiVersion: v1
kind: Config
current-context: home   # where I live
preferences: {}
clusters:
- name: home
  cluster: {server: "https://home.example:6443", insecure-skip-tls-verify: true}
contexts:
# the only one
- context:
    cluster: home
    user: "0123"
    namespace: "yes"
  name: home
users:
- name: "0123"
  user:
    token: 0777abc   # secret
    username: !!str 12
`;

test('on one gateway', async (t) => {
  const gateway = await registered(t);
  await t.test('the kubeconfig of REST', async (t) => {
    const { request, restUrl } = gateway;
    const json = { headers: { accept: 'application/json' } };
    const all = await request('/kubernetes/kubeconfig', json);
    const host = new URL(restUrl).host;
    const mark = (name: string) => [{ name: 'agent-gateway', extension: { account: name } }];
    const server = (name: string) => `${restUrl}/kubernetes/accounts/${name}`;
    t.strictSame(all.body, {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: `agent-gateway/${eks}`,
          cluster: {
            server: server('arn%3Aaws%3Aeks%3Aeu-west-1%3A111122223333%3Acluster%252Fprod'),
            extensions: mark(eks),
          },
        },
        { name: 'agent-gateway/no', cluster: { server: server('no'), extensions: mark('no') } },
      ],
      contexts: [
        {
          name: eks,
          context: { cluster: `agent-gateway/${eks}`, user: `agent-gateway/${host}`, extensions: mark(eks) },
        },
        { name: 'no', context: { cluster: 'agent-gateway/no', user: `agent-gateway/${host}`, extensions: mark('no') } },
      ],
      users: [{ name: `agent-gateway/${host}`, user: { extensions: mark('') } }],
    });
    const yaml = await fetch(`${restUrl}/kubernetes/kubeconfig?account=no&account=${encodeURIComponent(eks)}`);
    t.match(yaml.headers.get('content-type'), 'application/yaml');
    const text = await yaml.text();
    t.match(text, /^# .*\n[^]*tokenFile: FILE/u, 'a comment says how to add credentials');
    t.same(
      (parse(text) as { contexts: { name: string }[] }).contexts.map(({ name }) => name),
      ['no', eks],
      'in the order of the question',
    );
    const one = await request('/kubernetes/kubeconfig?account=closed', json);
    t.match(one, { status: 403, body: { account: 'closed', detail: /"closed" does not serve .* apiAccess/u } });
    t.match(await request('/kubernetes/kubeconfig?account=older', json), { status: 403 });
    t.match(await request('/kubernetes/kubeconfig?account=none', json), { status: 404, body: { account: 'none' } });
  });

  await t.test('kubectl reads it, and merged it leaves the entries of others as they are', async (t) => {
    const tools = await clusterTools();
    if (typeof tools === 'string') {
      t.pass('kubectl', { skip: tools });
      return;
    }
    const { run, file, directory } = await setUp(t, gateway);
    const kubectl = (...args: string[]) => tools.kubectl(args, { environment: { ...process.env, KUBECONFIG: file } });
    const printed = await run('kubeconfig');
    t.match([printed.code, printed.err], [0, '']);
    await writeFile(file, printed.out);
    t.same((await kubectl('config', 'get-contexts', '-o', 'name')).split('\n').filter(Boolean), [eks, 'no']);

    interface View {
      readonly contexts: readonly { readonly name: string }[];
      readonly users: readonly { readonly name: string; readonly user: object }[];
      readonly clusters: readonly { readonly name: string }[];
      readonly 'current-context': string;
    }
    const view = async () => JSON.parse(await kubectl('config', 'view', '--raw', '-o', 'json')) as View;
    const own = ({ contexts, users, clusters, ...rest }: View) => {
      const notOurs = <T extends { readonly name: string }>(entries: readonly T[]) =>
        entries.filter(({ name }) => !name.startsWith('agent-gateway/') && ![eks, 'no'].includes(name));
      return JSON.stringify({ ...rest, c: notOurs(contexts), u: notOurs(users), k: notOurs(clusters) });
    };
    await writeFile(file, theirs);
    const before = await view();
    const token = join(directory, 'token');
    await writeFile(token, 'secret-word\n');
    const merged = await run(`kubeconfig --merge --token-file ${token}`);
    t.equal(merged.code, 0, merged.err);
    t.match(merged.err, /kubectl sends no token to http:/u, 'the token would be of no use');
    t.match(merged.err, /2 contexts are in .*Try: kubectl --context arn:aws/u);
    const apart = join(directory, 'apart.yml');
    const { err } = await run(`kubeconfig no --kubeconfig ${apart}`);
    t.equal(err, `1 context is in ${apart}. Try: kubectl --kubeconfig ${apart} --context no get pods\n`);
    const after = await view();
    t.equal(own(after), own(before), 'entries of the user, byte for byte');
    t.match(after.users.at(-1), { user: { tokenFile: token } });
    t.equal((await stat(file)).mode & 0o777, 0o600);
    const text = await readFile(file, 'utf8');
    for (const line of theirs.split('\n').filter((each) => !/^(users|contexts|clusters):$/u.test(each)))
      t.ok(text.includes(line.replace(/ {2,}#/u, ' #')), line);
    t.notMatch(text, 'secret-word');

    t.equal((await run(`kubeconfig no --merge --current --token-file ${token}`)).code, 0);
    const again = await view();
    t.equal(again['current-context'], 'no');
    t.same({ ...again, 'current-context': 'home' }, after, 'merged twice it is there once');
    t.equal((await kubectl('config', 'current-context')).trim(), 'no');
  });

  await t.test('an entry that we did not write is not replaced', async (t) => {
    const { run, file, directory } = await setUp(t, gateway);
    const foreign = theirs.replace('name: home\nusers', 'name: home\n- {name: no, context: {cluster: home}}\nusers');
    await writeFile(file, foreign);
    const refused = await run('kubeconfig --merge');
    t.equal(refused.code, 4);
    t.match(refused.err, /config has the context "no", which agent-gateway did not write; nothing was changed/u);
    t.equal(await readFile(file, 'utf8'), foreign);

    await writeFile(file, 'clusters: [\n');
    t.match(await run('kubeconfig --merge'), { code: 4, err: /config is not a kubeconfig: line 2: / });
    await writeFile(file, '- a\n');
    t.match(await run('kubeconfig --merge'), { code: 4, err: /is not a kubeconfig: line 1: expected a map/ });
    await writeFile(`${file}.lock`, '');
    t.match(await run('kubeconfig --merge'), { code: 5, err: /another program is changing it.*config\.lock/u });
    t.equal(await readFile(file, 'utf8'), '- a\n');
    await rm(`${file}.lock`);

    const link = join(directory, 'link');
    await rm(file);
    await writeFile(file, '');
    await symlink(file, link);
    t.equal((await run(`kubeconfig no --kubeconfig ${link}`)).code, 0);
    t.match(parse(await readFile(file, 'utf8')), { contexts: [{ name: 'no' }], kind: 'Config' }, 'behind the link');
    t.equal((await run(`kubeconfig no --kubeconfig ${join(directory, 'new', 'config')}`)).code, 0, 'a new directory');
  });

  await t.test('what is wrong is said', async (t) => {
    const { run } = await setUp(t, gateway);
    t.match(await run('kubeconfig --current'), { code: 2, err: /--current needs an ACCOUNT/ });
    t.match(await run('kubeconfig none'), { code: 3, err: /"none" is not known/ });
    t.match(await run('kubeconfig closed'), { code: 4, err: /apiAccess/ });
    const word = await run('kubeconfig no', { AGENT_GATEWAY_TOKEN: 'word' });
    t.match(word, { code: 0, err: /the token in \$AGENT_GATEWAY_TOKEN is not in the kubeconfig/ });
    t.match(await run('__complete zsh kubeconfig no ar'), { out: `${eks}\n` }, 'each ACCOUNT is completed');
    const none = await startGatewayDouble(t, () => ({
      body: { kind: 'Config', clusters: [], contexts: [], users: [] },
    }));
    const empty = await run('kubeconfig', { AGENT_GATEWAY_REST: none.url });
    t.match(empty, { code: 3, err: /no account serves the Kubernetes API/ });
  });
});

test('its URL is the one that is set', async (t) => {
  const { request } = await registered(t, { 'kubesvc.kubernetesApi.publicUrl': 'https://gw.example/tools/' });
  const { body } = await request('/kubernetes/kubeconfig?account=no', { headers: { accept: 'application/json' } });
  t.match(body, { clusters: [{ cluster: { server: 'https://gw.example/tools/kubernetes/accounts/no' } }] });
  t.match(body, { users: [{ name: 'agent-gateway/gw.example' }] });
});

test('without the Kubernetes API there are no kubeconfigs', async (t) => {
  const { request } = await startGateway(t, { 'kubesvc.kubernetesApi.enabled': 'false' });
  t.match(await request('/kubernetes/kubeconfig'), { status: 404 });
});
