/**
 * The gateway as Spring Cloud Config Server: what a Clouddriver that is its client sees while agents come, change and go, who
 * may read it, and what is asked of Clouddriver after changes.
 */

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { accountPath } from '../../../src/gateway/kubernetes-api/path.js';
import { freePort } from '../../free-port.js';
import { mariaDbDatabase } from '../../services/databases.js';
import { startMariaDb } from '../../services/mariadb.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway, type RunningGateway } from '../running-gateway.js';
import { basic, bind, startConfigClient, type ConfigClientDouble } from './config-client-double.js';

const secret = 's'.repeat(40);
const publicUrl = 'https://gateway.example.com:7002';
const password = 'correct-horse-battery-staple';
const digest = (token: string): string => createHash('sha256').update(token).digest('hex');

/** Settings with callers `clouddriver`, which may read tokens of accounts, and `admin`, which may not. */
function settings(t: Test, more: Readonly<Record<string, string | number | boolean>> = {}) {
  const directory = t.testdir({});
  const file = (name: string, content: string): string => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  return {
    'spinnaker.tokens.secretFile': file('secrets', secret),
    'spinnaker.configServer.enabled': true,
    'kubesvc.kubernetesApi.publicUrl': publicUrl,
    'server.auth.tokens.file': file(
      'tokens.yml',
      `tokens:\n  - {name: clouddriver, sha256: ${digest(password)}}\n  - {name: admin, sha256: ${digest('admin')}}\n`,
    ),
    'server.auth.policyFile': file(
      'callers.yml',
      "callers:\n  - {name: clouddriver, match: ['token:clouddriver'], role: read, accountTokens: true}\n  - {name: admin, match: ['token:admin'], role: admin}\n",
    ),
    ...more,
  };
}

const names = ({ accounts }: ConfigClientDouble): string => accounts.map(({ name }) => name).join(' ');
const credentials = basic('clouddriver', password);

interface Served {
  readonly name: string;
  readonly namespaces?: string[];
  readonly permissions?: object;
}

async function agentOf(
  t: Test,
  gateway: RunningGateway,
  agentId: string,
  served: readonly Served[],
): Promise<RawAgent> {
  const accounts = served.map(({ name, namespaces = [], permissions }) => ({
    ...{ name, namespaces, kubeVersion: 'v1.35.0' },
    properties: {
      kubernetesApi: 'full',
      ...(permissions === undefined ? {} : { permissions: JSON.stringify(permissions) }),
    },
  }));
  return RawAgent.register(t, gateway.agentsAddress, { agentId, accounts });
}

test('accounts come, change and go, and Clouddriver is asked to read them', async (t) => {
  const port = await freePort();
  const clouddriverPort = await freePort();
  const gateway = await startGateway(
    t,
    settings(t, {
      'server.port': port,
      'spinnaker.configServer.refresh.urls': `http://127.0.0.1:${clouddriverPort}`,
      'spinnaker.configServer.refresh.intervalSeconds': 1,
      'kubesvc.cache.accountCleanupFrequencySeconds': 4,
    }),
  );
  const client = await startConfigClient(t, { uri: gateway.restUrl, headers: credentials, port: clouddriverPort });
  t.equal(names(client), '', 'no accounts yet');

  const eu = await agentOf(t, gateway, 'eu', [
    { name: 'prod-eu', namespaces: ['b', 'a'], permissions: { READ: ['dev', 'ops'], WRITE: ['ops'] } },
    { name: 'arn:aws:eks:eu-west-1:1:cluster/x' },
  ]);
  await waitFor(() => names(client) === 'arn:aws:eks:eu-west-1:1:cluster/x prod-eu');
  const { kubeconfigContents = '', ...rest } = client.accounts[1] ?? { name: '' };
  t.same(rest, {
    name: 'prod-eu',
    namespaces: ['a', 'b'],
    permissions: { READ: ['dev', 'ops'], WRITE: ['ops'] },
    checkPermissionsOnStartup: false,
    kubectlRequestTimeoutSeconds: 120,
  });
  t.match(kubeconfigContents, `server: ${publicUrl}/kubernetes/accounts/prod-eu`);
  t.match(kubeconfigContents, /token: ey/u);
  t.match(client.accounts[0]?.kubeconfigContents, accountPath('arn:aws:eks:eu-west-1:1:cluster/x'));

  await agentOf(t, gateway, 'us', [{ name: 'dev-us' }, { name: 'prod-us' }]);
  await waitFor(() => names(client) === 'arn:aws:eks:eu-west-1:1:cluster/x dev-us prod-eu prod-us');
  const count = client.refreshes.length;
  eu.close();
  const [away] = await Promise.all([
    agentOf(t, gateway, 'eu', [{ name: 'prod-eu', namespaces: ['a', 'b', 'c'] }]),
    waitFor(() => client.accounts.find(({ name }) => name === 'prod-eu')?.namespaces?.length === 3),
  ]);
  t.equal(names(client), 'arn:aws:eks:eu-west-1:1:cluster/x dev-us prod-eu prod-us', 'what is away for a moment stays');
  t.equal(client.refreshes.length, count + 1);
  t.notOk(client.accounts[2]?.permissions, 'its permissions are gone');
  await waitFor(() => names(client) === 'dev-us prod-eu prod-us');
  away.close();
  const metrics = await (
    await fetch(`${gateway.restUrl}/metrics`, { headers: { authorization: 'Bearer admin' } })
  ).text();
  t.match(metrics, /agent_gateway_config_refreshes_total\{outcome="refreshed"\} [1-9]/u);
  for (const text of [secret, password, 'token: ey', /\bey[\w-]{20,}\./u])
    t.notMatch(JSON.stringify(gateway.log), text);
});

test('who may read them, and how', async (t) => {
  const gateway = await startGateway(t, settings(t));
  await agentOf(t, gateway, 'eu', [{ name: 'prod-eu' }]);
  const status = async (path: string, headers: Readonly<Record<string, string>>): Promise<number> => {
    const answer = await fetch(gateway.restUrl + path, { headers });
    const text = await answer.text();
    const told = text.includes('kubeconfigContents');
    t.equal(told, answer.status === 200 && path.startsWith('/clouddriver/'));
    if (told) t.equal(answer.headers.get('cache-control'), 'no-store');
    return answer.status;
  };
  const path = '/clouddriver/composite,local';
  const right: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    'user name and password': credentials,
    'a password with a colon in front': basic('', password),
    'spring.cloud.config.token': { 'x-config-token': password },
    'spring.cloud.config.headers.authorization': { authorization: `Bearer ${password}` },
  };
  for (const [name, headers] of Object.entries(right)) {
    t.equal(await status(path, headers), 200, name);
    t.equal(await status(`${path}/main(_)2`, headers), 200, `${name}, with a label`);
  }
  t.equal(await status(path, {}), 401, 'nothing');
  t.equal(await status(path, basic('clouddriver', 'wrong')), 401, 'a wrong password');
  t.equal(await status(path, { authorization: 'Basic !' }), 401, 'not Basic');
  t.equal(await status(path, { 'x-config-token': 'wrong' }), 401, 'a wrong token');
  t.equal(await status(path, { authorization: 'Bearer admin' }), 403, 'an administrator without the right');
  t.equal(await status(path, { 'x-config-token': password, authorization: 'Bearer admin' }), 403, 'the header decides');
  t.equal(await status('/metrics', { 'x-config-token': password }), 401, 'no other route takes such a token');
  t.equal(await status('/metrics', credentials), 401, 'nor Basic');
  t.equal(await status('/orca/local', credentials), 404, 'an application that is not configured');
  t.equal(await status('/clouddriver', credentials), 404);
  t.equal(await status('/armory/agents', { authorization: 'Bearer admin' }), 200, 'other routes are there');
  const denied = await gateway.request(path, { headers: { authorization: 'Bearer admin' } });
  t.match(denied.body['detail'], 'add accountTokens: true to the rule of policy:admin');
});

test('callers without credentials, only if a setting says so', async (t) => {
  const of = (more: Readonly<Record<string, string | boolean>>) =>
    startGateway(t, settings(t, { 'server.auth.anonymousRole': 'read', ...more }));
  const strict = await of({});
  const { status, body } = await strict.request('/clouddriver/local');
  t.equal(status, 401);
  t.match(body['detail'], 'spinnaker.configServer.anonymous');
  const open = await of({ 'spinnaker.configServer.anonymous': true });
  t.equal((await open.request('/clouddriver/local')).status, 200);
  t.equal((await open.request('/clouddriver/local', { headers: basic('a', 'wrong') })).status, 401);
});

test('two replicas answer the same, and one of them asks Clouddriver', async (t) => {
  const database = await mariaDbDatabase(t);
  const ports = [await freePort(), await freePort()];
  const clouddriverPort = await freePort();
  const common = settings(t, {
    ...{ 'sql.url': database.url, 'kubesvc.cluster': 'static', 'server.address': '127.0.0.1' },
    'kubesvc.cluster-static.instances': ports.map((port) => `http://127.0.0.1:${port}`).join(','),
    'server.auth.instances.secretFile': join(t.testdirName, 'secrets'),
    'kubesvc.drain.endpointRemovalMs': 0,
    'spinnaker.configServer.refresh.urls': `http://127.0.0.1:${clouddriverPort}`,
    'spinnaker.configServer.refresh.intervalSeconds': 1,
  });
  const [one, two] = (await Promise.all(
    ports.map((port, index) =>
      startGateway(t, {
        ...common,
        'instance.id': `replica-${index}`,
        'server.port': port,
        'instance.baseUrl': `http://127.0.0.1:${port}`,
      }),
    ),
  )) as [RunningGateway, RunningGateway];
  const clouddriver = await startConfigClient(t, { uri: two.restUrl, headers: credentials, port: clouddriverPort });
  await waitFor(() => clouddriver.refreshes.length > 0);
  await agentOf(t, one, 'eu', [{ name: 'b' }, { name: 'c' }]);
  await agentOf(t, two, 'us', [{ name: 'a' }, { name: 'd' }]);
  await waitFor(() => names(clouddriver) === 'a b c d');
  const answers = await Promise.all(
    [one, two].map(({ restUrl }) => fetch(`${restUrl}/clouddriver/local`, { headers: credentials })),
  );
  const [first, second] = await Promise.all(answers.map((answer) => answer.text()));
  t.equal(first, second);
  const refreshed = async ({ restUrl }: RunningGateway): Promise<number> => {
    const answer = await fetch(`${restUrl}/metrics`, { headers: { authorization: 'Bearer admin' } });
    return Number(/config_refreshes_total\{outcome="refreshed"\} (\d+)/u.exec(await answer.text())?.[1] ?? 0);
  };
  const both = await Promise.all([refreshed(one), refreshed(two)]);
  t.equal(Math.min(...both), 0, `refreshes by the replicas: ${both.join(', ')}`);
  const [asking, other] = both[0] > 0 ? [one, two] : [two, one];
  await asking.gateway.stop();
  await agentOf(t, other, 'asia', [{ name: 'e' }]);
  if (asking === two) return;
  await waitFor(() => clouddriver.accounts.some(({ name }) => name === 'e'));
});

test('without a database there is no answer, rather than one without accounts', async (t) => {
  const database = await startMariaDb();
  t.teardown(() => database.stop());
  const gateway = await startGateway(
    t,
    settings(t, { 'sql.url': `${database.url}/mysql`, 'sql.queryTimeoutMs': 1_000 }),
  );
  await agentOf(t, gateway, 'eu', [{ name: 'prod-eu' }]);
  const clouddriver = await startConfigClient(t, { uri: gateway.restUrl, headers: credentials });
  t.equal(names(clouddriver), 'prod-eu');
  t.teardown(() => database.restart());
  await database.kill();
  await waitFor(async () => (await clouddriver.read()) === 503);
  t.equal(names(clouddriver), 'prod-eu');
});

test('an account that would break all others, or read secrets of Clouddriver, stays out', async (t) => {
  const gateway = await startGateway(t, settings(t));
  await agentOf(t, gateway, 'eu', [
    { name: 'good' },
    { name: 'invented', permissions: { ROOT: ['everyone'] } },
    { name: 'secretive', namespaces: ['${sql.connectionPools.default.password}'] },
    { name: 'vault', permissions: { READ: ['encrypted:vault!e:secret!p:x!k:y'] } },
  ]);
  const clouddriver = await startConfigClient(t, { uri: gateway.restUrl, headers: credentials });
  t.equal(names(clouddriver), 'good');
  await clouddriver.read();
  const told = gateway.log.filter(({ msg }) => msg.includes('left out'));
  t.same(
    told.map(({ account }) => account),
    ['invented', 'secretive', 'vault'],
    'each is told once',
  );
  t.match(told[0]?.['error'], /^its permissions/u);
  t.match(told[1]?.['error'], /^its namespaces\[0\]: Spring would replace/u);
});

test('thousands of accounts', async (t) => {
  const gateway = await startGateway(t, settings(t, { 'kubesvc.grpc.server.maxInboundMessageSize': 64 << 20 }));
  const served = Array.from({ length: 2_000 }, (_, index) => ({ name: `account-${String(index).padStart(4, '0')}` }));
  await agentOf(t, gateway, 'eu', served);
  let longest = 0;
  let last = performance.now();
  const watch = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  t.teardown(() => clearInterval(watch));
  const began = performance.now();
  const answer = await fetch(`${gateway.restUrl}/clouddriver/local`, { headers: credentials });
  const text = await answer.text();
  clearInterval(watch);
  const accounts = bind(JSON.parse(text) as Parameters<typeof bind>[0]);
  t.equal(accounts.length, 2_000);
  t.equal(accounts.map(({ name }) => name).join(), served.map(({ name }) => name).join());
  t.comment(
    `${text.length} characters in ${Math.round(performance.now() - began)} ms; longest turn ${Math.round(longest)} ms`,
  );
});
