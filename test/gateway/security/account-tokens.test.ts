/** Tokens of accounts at a running gateway: where they are good, and where they are not. */

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { test, type Test } from 'tap';
import { parseSharedSecrets } from '../../../src/core/shared-secrets.js';
import { AccountTokens } from '../../../src/gateway/auth/account-tokens.js';
import { accountPath } from '../../../src/gateway/kubernetes-api/path.js';
import { run as runCommand } from '../../commands/run-command.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway, type RunningGateway } from '../running-gateway.js';

const [one, two] = ['1', '2'].map((digit) => digit.repeat(40)) as [string, string];
const lifetimeSeconds = 3_600;

/** What another instance with this file would make. */
async function tokenOf(account: string, secrets = one, now = Date.now()): Promise<string> {
  const parsed = parseSharedSecrets(secrets);
  const tokens = new AccountTokens({ secrets: () => parsed, lifetimeSeconds, revokedAt: () => 0 });
  return (await tokens.sign(account, now)).token;
}

/** A setting for each way in which callers may authenticate. */
function modes(directory: string): Record<string, Record<string, string | boolean>> {
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const digest = createHash('sha256').update('admin').digest('hex');
  const policyFile = file('policy.yml', "callers: [{name: admin, match: ['token:admin'], role: admin}]");
  return {
    nothing: {},
    'a role for everybody': { 'server.auth.anonymousRole': 'read' },
    tokens: {
      'server.auth.tokens.file': file('tokens.yml', `tokens: [{name: admin, sha256: ${digest}}]`),
      'server.auth.policyFile': policyFile,
    },
    'tokens of an issuer': {
      'server.auth.tokens.jwt.jwksFile': file('keys.json', '{"keys": []}'),
      'server.auth.tokens.jwt.issuer': 'agent-gateway',
      'server.auth.tokens.jwt.audiences': 'any',
      'server.auth.policyFile': policyFile,
    },
    'tokens of service accounts': {
      'server.auth.tokens.kubernetes.enabled': true,
      'server.auth.tokens.kubernetes.kubeconfigFile': file('kubeconfig', nowhere),
      'server.auth.policyFile': policyFile,
    },
  };
}

const nowhere = `
apiVersion: v1
kind: Config
current-context: a
clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]
users: [{name: a, user: {}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
`;

/** @param secrets its file */
function start(t: Test, secrets: string, settings: Record<string, string | boolean> = {}): Promise<RunningGateway> {
  return startGateway(t, {
    'spinnaker.tokens.secretFile': secrets,
    'spinnaker.tokens.lifetimeSeconds': lifetimeSeconds,
    'kubesvc.kubernetesApi.publicUrl': 'https://gateway.example',
    ...settings,
  });
}

function ask(gateway: RunningGateway, path: string, token: string, method = 'GET') {
  return gateway.request(path, { method, headers: { authorization: `Bearer ${token}` } });
}

const pods = (account: string): string => `${accountPath(account)}/api/v1/pods`;

test('with every way in which callers may authenticate', async (t) => {
  const directory = t.testdir({ secrets: `${one}\n` });
  for (const [name, settings] of Object.entries(modes(directory))) {
    await t.test(name, async (t) => {
      const gateway = await start(t, join(directory, 'secrets'), settings);
      const token = await tokenOf('team/prod');
      const admitted = await ask(gateway, pods('team/prod'), token);
      t.match(admitted, { status: 404, body: { reason: 'NotFound', details: { name: 'team/prod' } } }, 'let in');
      const elsewhere = await ask(gateway, pods('test'), token);
      t.match(elsewhere, { status: 403, body: { kind: 'Status', reason: 'Forbidden' } });
      t.match(
        elsewhere.body['message'],
        /account-token:team\/prod.*account "test": the token is good for account "team\/prod" only/u,
      );
      const forged = await ask(gateway, pods('team/prod'), await tokenOf('team/prod', two));
      t.match(forged, { status: 401, body: { kind: 'Status', code: 401, message: /not signed with a known key/u } });
      t.equal(forged.headers.get('www-authenticate'), 'Bearer');
      const old = await tokenOf('team/prod', one, Date.now() - 2 * lifetimeSeconds * 1_000);
      t.match(await ask(gateway, pods('team/prod'), old), { status: 401, body: { message: /expired/u } });
      for (const [method, path] of [
        ['GET', '/armory/agents'],
        ['GET', '/kubernetes/kubeconfig'],
        ['DELETE', '/armory/accounts/team%2Fprod/tokens'],
      ] as const)
        t.match(await ask(gateway, path, token, method), {
          status: 403,
          body: { detail: /that of an account, and good only for its Kubernetes API/u },
        });
      t.equal((await ask(gateway, '/healthz', token)).status, 200);
    });
  }
});

test('reading only', async (t) => {
  const directory = t.testdir({ secrets: one });
  const gateway = await start(t, join(directory, 'secrets'), { 'spinnaker.tokens.access': 'read' });
  const token = await tokenOf('prod');
  t.equal((await ask(gateway, pods('prod'), token)).status, 404);
  const refused = await ask(gateway, `${accountPath('prod')}/api/v1/secrets`, token);
  t.match(refused, { status: 403, body: { message: /spinnaker.tokens.access gives tokens access "read"/u } });
});

test('a gateway without such tokens', async (t) => {
  const gateway = await startGateway(t);
  const refused = await ask(gateway, pods('prod'), await tokenOf('prod'));
  t.match(refused, { status: 401, body: { message: /spinnaker.tokens.secretFile is not set/u } });
  const { status: code, body } = await gateway.request('/armory/accounts/prod/tokens', { method: 'DELETE' });
  t.match({ code, body }, { code: 501, body: { detail: /set spinnaker.tokens.secretFile/u } });
});

test('an agent that has one', async (t) => {
  const directory = t.testdir({ secrets: one });
  const agents = {
    'kubesvc.grpc.auth.tokens.jwt.jwksFile':
      modes(directory)['tokens of an issuer']?.['server.auth.tokens.jwt.jwksFile'] ?? '',
  };
  const gateway = await start(t, join(directory, 'secrets'), {
    ...agents,
    'kubesvc.grpc.auth.tokens.jwt.issuer': 'agent-gateway',
    'kubesvc.grpc.auth.tokens.jwt.audiences': 'any',
  });
  const agent = new RawAgent(gateway.agentsAddress, undefined, {}, `Bearer ${await tokenOf('prod')}`);
  t.teardown(() => agent.close());
  agent.send({ case: 'register', value: { agentId: 'agent', accounts: [{ name: 'prod' }] } });
  const end = await waitFor(() => agent.end);
  t.match(end, { code: status.PERMISSION_DENIED, details: /good only for its Kubernetes API/u });
});

test('revoked, also after a restart; and the secrets are replaced', async (t) => {
  const directory = t.testdir({ secrets: one });
  const secrets = join(directory, 'secrets');
  const settings = { 'sql.url': `pglite:${join(directory, 'sql')}` };
  const first = await start(t, secrets, settings);
  const token = await tokenOf('prod');
  t.equal((await ask(first, pods('prod'), token)).status, 404);
  const { code, out } = await runCommand(['revoke-tokens', 'prod', '--rest', first.restUrl], {});
  t.match({ code, out }, { code: 0, out: 'the tokens of account prod are revoked\n' });
  const refused = { status: 401, body: { kind: 'Status', message: /revoked/u } };
  t.match(await ask(first, pods('prod'), token), refused);
  t.equal((await ask(first, pods('test'), await tokenOf('test'))).status, 404, 'other accounts go on');
  await first.gateway.stop();
  const second = await start(t, secrets, settings);
  t.match(await ask(second, pods('prod'), token), refused, 'it was not forgotten');
  const [old, next] = [await tokenOf('test'), await tokenOf('test', two)];
  const statuses = async () => [
    (await ask(second, pods('test'), old)).status,
    (await ask(second, pods('test'), next)).status,
  ];
  t.same(await statuses(), [404, 401]);
  for (const [content, wanted] of [
    [`${one}\n${two}`, [404, 404]],
    [two, [401, 404]],
  ] as const) {
    writeFileSync(secrets, content);
    await waitFor(async () => String(await statuses()) === String(wanted), { description: String(wanted) });
  }
  writeFileSync(secrets, 'too short');
  await waitFor(() => second.log.some(({ msg }) => msg.startsWith('file changed and cannot be used')));
  t.same(await statuses(), [401, 404], 'the old content stays');
});

test('settings that cannot work together', async (t) => {
  const directory = t.testdir({ secrets: one });
  const secretFile = { 'spinnaker.tokens.secretFile': join(directory, 'secrets') };
  await t.rejects(startGateway(t, secretFile), /publicUrl.*https:/u);
  await t.rejects(
    startGateway(t, { ...secretFile, 'kubesvc.kubernetesApi.publicUrl': 'http://gateway.example' }),
    /kubesvc.kubernetesApi.publicUrl.*found http:/u,
  );
  await t.rejects(start(t, join(directory, 'missing')), /spinnaker.tokens.secretFile: .*missing cannot be used/u);
});
