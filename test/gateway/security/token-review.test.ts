/** Tokens of service accounts, which a real API server checks. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { test, type Test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { TokenReviewer } from '../../../src/gateway/auth/token-review.js';
import { kubernetesPrograms } from '../../services/kubernetes-program.js';
import { startKubernetes } from '../../services/kubernetes.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway, type RunningGateway } from '../running-gateway.js';

const programs = await kubernetesPrograms();

async function register(t: Test, { agentsAddress }: RunningGateway, token: string, account: string) {
  const agent = new RawAgent(agentsAddress, undefined, {}, `Bearer ${token}`);
  t.teardown(() => agent.close());
  agent.send({ case: 'register', value: { agentId: account, accounts: [{ name: account }] } });
  await waitFor(() => agent.all('registered').length > 0 || agent.end !== undefined);
  return { code: agent.end?.code ?? 0, details: agent.end?.details ?? '' };
}

test('service accounts', { skip: typeof programs === 'string' && programs }, async (t) => {
  const kubernetes = await startKubernetes(programs);
  t.teardown(() => kubernetes.stop());
  const { api } = kubernetes;
  for (const name of ['agent', 'other', 'reviewer'])
    await api.post('/api/v1/namespaces/default/serviceaccounts', { metadata: { name } });
  // What docs/security.md says that the gateway needs.
  await api.post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'reviewer' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:auth-delegator' },
    subjects: [{ kind: 'ServiceAccount', name: 'reviewer', namespace: 'default' }],
  });
  const policyFile = join(kubernetes.directory, 'policy.yml');
  await writeFile(
    policyFile,
    "agents: [{name: team-a, match: ['claim:sub=system:serviceaccount:default:agent'], accounts: ['*']}]",
  );
  const section = 'kubesvc.grpc.auth.tokens.kubernetes';
  const settings = {
    [`${section}.enabled`]: true,
    [`${section}.kubeconfigFile`]: await kubernetes.kubeconfigFor('default', 'reviewer'),
  };
  const gateway = await startGateway(t, { ...settings, 'kubesvc.grpc.auth.policyFile': policyFile });
  const token = await kubernetes.token('default', 'agent');
  t.match(await register(t, gateway, token, 'one'), { code: 0 });
  t.match(await register(t, gateway, await kubernetes.token('default', 'other'), 'two'), {
    code: status.PERMISSION_DENIED,
    details: /no rule of the policy matches kubernetes:system:serviceaccount:default:other/u,
  });
  t.match(await register(t, gateway, 'nonsense', 'three'), {
    code: status.UNAUTHENTICATED,
    details: /token refused by the Kubernetes API server/u,
  });
  const other = await startGateway(t, { ...settings, [`${section}.audiences`]: 'agent-gateway' });
  t.match(await register(t, other, token, 'four'), { code: status.UNAUTHENTICATED }, 'a token of another audience');
  await kubernetes.stop();
  t.match(await register(t, gateway, token, 'five'), { code: 0 }, 'an answer is kept for a minute');
  t.match(await register(t, gateway, 'another', 'six'), {
    code: status.UNAVAILABLE,
    details: /the Kubernetes API server could not check the token/u,
  });
});

test('answers are kept for a time, and no longer', async (t) => {
  let asked = 0;
  let now = 0;
  const client = {
    post: () => {
      asked += 1;
      return Promise.resolve({ status: { authenticated: asked < 3, user: { username: 'u' } } });
    },
  };
  const reviewer = new TokenReviewer({ client, audiences: [], now: () => now });
  const signal = AbortSignal.timeout(120_000);
  const { name, claims } = await reviewer.verify('a', signal);
  t.equal(name, 'kubernetes:u');
  t.same(claims, { sub: 'u', groups: [] });
  await reviewer.verify('a', signal);
  t.equal(asked, 1);
  now = 60_000;
  await reviewer.verify('a', signal);
  t.equal(asked, 2);
  now = 120_000;
  await t.rejects(reviewer.verify('a', signal), { code: 'unauthenticated' });
  await t.rejects(reviewer.verify('a', signal), { code: 'unauthenticated' });
  t.equal(asked, 3);
  now = 130_000;
  await t.rejects(reviewer.verify('a', signal), GatewayError);
  t.equal(asked, 4);
});

test('an API server that knows nothing of audiences proves nothing', async (t) => {
  const server = createServer((_request, response) => {
    response.end(JSON.stringify({ status: { authenticated: true, user: { username: 'u' } } }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const client = {
    post: async (path: string, body: object) =>
      (await fetch(url + path, { method: 'POST', body: JSON.stringify(body) })).json(),
  };
  const reviewer = new TokenReviewer({ client, audiences: ['gateway'], now: Date.now });
  await t.rejects(reviewer.verify('a', AbortSignal.timeout(120_000)), { code: 'unauthenticated' });
});

test('requests with one token ask once, and none waits for another that leaves', async (t) => {
  let asked = 0;
  const answers: ((value: object) => void)[] = [];
  const client = {
    post: () => {
      asked += 1;
      return new Promise<object>((resolve) => answers.push(resolve));
    },
  };
  const reviewer = new TokenReviewer({ client, audiences: [] });
  const leaving = new AbortController();
  const left = reviewer.verify('token', leaving.signal);
  const staying = Array.from({ length: 20 }, () => reviewer.verify('token', new AbortController().signal));
  leaving.abort(new Error('the client has gone'));
  await t.rejects(left, { message: 'the client has gone' });
  await waitFor(() => answers.length > 0);
  for (const answer of answers) answer({ status: { authenticated: true, user: { username: 'u' } } });
  const names = (await Promise.all(staying)).map(({ name }) => name);
  t.strictSame(new Set(names), new Set(['kubernetes:u']));
  t.equal(asked, 1);
  const other = reviewer.verify('other', new AbortController().signal);
  await waitFor(() => answers.length > 1);
  answers[1]?.({ status: { authenticated: false } });
  await t.rejects(other, { code: 'unauthenticated' });
});
