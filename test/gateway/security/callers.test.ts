/** Callers of the REST API: every route takes a role, and nobody gets one by a header alone. */

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { fastify } from 'fastify';
import { test, type Test } from 'tap';
import { silentLogger } from '../../../src/core/logger.js';
import { authorizeCalls } from '../../../src/gateway/rest/authorization.js';
import { createMetrics } from '../../../src/gateway/telemetry/metrics.js';
import { waitFor } from '../../wait.js';
import { fetchAnswer, startGateway, type RunningGateway } from '../running-gateway.js';
import { Authority } from './authority.js';

const digest = (token: string): string => createHash('sha256').update(token).digest('hex');

const roles = ['read', 'operate', 'admin'] as const;

/** Tokens named as their roles, and one that the policy does not know. */
function files(directory: string): { readonly tokens: string; readonly policy: string } {
  const tokens = join(directory, 'tokens.yml');
  const policy = join(directory, 'policy.yml');
  const entry = (name: string) => `  - {name: ${name}, sha256: ${digest(name)}}\n`;
  writeFileSync(tokens, `tokens:\n${[...roles, 'stranger'].map(entry).join('')}`);
  const rule = (role: string) => `  - {name: ${role}, match: ['token:${role}', 'CN=${role}'], role: ${role}}\n`;
  writeFileSync(policy, `callers:\n${roles.map(rule).join('')}`);
  return { tokens, policy };
}

type Who = (typeof roles)[number] | 'stranger' | 'nobody';

/** Which roles a route takes; whatever is not listed here is a fault of the test or of the route. */
const routes: readonly (readonly [string, string, 'public' | 'read' | 'operate' | 'admin'])[] = [
  ['GET', '/healthz', 'public'],
  ['GET', '/readyz', 'public'],
  ['GET', '/console', 'public'],
  ['GET', '/console/', 'public'],
  ['GET', '/docs/', 'public'],
  ['GET', '/metrics', 'read'],
  ['GET', '/openapi.json', 'public'],
  ['GET', '/docs/json', 'public'],
  ['GET', '/armory/clouddrivers', 'read'],
  ['GET', '/armory/clouddrivers/x', 'read'],
  ['GET', '/armory/clouddrivers/sql/pool/settings', 'read'],
  ['GET', '/armory/agents', 'read'],
  ['GET', '/kubernetes/kubeconfig', 'read'],
  ['GET', '/armory/agents/x', 'read'],
  ['GET', '/armory/agent/operations', 'read'],
  ['GET', '/armory/agent/operations/x', 'read'],
  ['GET', '/armory/attention', 'read'],
  ['GET', '/armory/accounts', 'read'],
  ['GET', '/armory/accounts/x', 'read'],
  ['GET', '/agents/kubernetes/accounts/x', 'read'],
  ['GET', '/agents/kubernetes/accounts/x/namespaces', 'read'],
  ['GET', '/console/data/overview', 'read'],
  ['GET', '/console/data/agents', 'read'],
  ['GET', '/console/data/accounts', 'read'],
  ['GET', '/console/data/dynamic-accounts', 'read'],
  ['GET', '/console/data/operations', 'read'],
  ['POST', '/armory/agent/operations', 'operate'],
  ['POST', '/armory/agent/operationresults', 'operate'],
  ['POST', '/armory/agent/assignments', 'operate'],
  ['POST', '/armory/agent/operations/database', 'admin'],
  ['POST', '/armory/agent/x/disconnect', 'admin'],
  ['DELETE', '/armory/agents/x', 'admin'],
  ['DELETE', '/armory/clouddrivers/x', 'admin'],
  ['POST', '/armory/accounts', 'admin'],
  ['PATCH', '/armory/accounts', 'admin'],
  ['DELETE', '/armory/accounts', 'admin'],
  ['DELETE', '/armory/accounts/x', 'admin'],
  ['DELETE', '/armory/accounts/x/tokens', 'admin'],
  ['POST', '/armory/accounts/dynamic', 'admin'],
  ['PUT', '/armory/accounts/dynamic', 'admin'],
  ['GET', '/armory/owners', 'read'],
  ['DELETE', '/armory/owners/account/x', 'admin'],
];

async function call(gateway: RunningGateway, method: string, path: string, who: Who) {
  const headers = {
    ...(who === 'nobody' ? {} : { authorization: `Bearer ${who}` }),
    ...(method === 'GET' ? {} : { 'content-type': 'application/json' }),
  };
  const response = await fetch(gateway.restUrl + path, {
    ...{ method, headers, redirect: 'manual', signal: AbortSignal.timeout(120_000) },
    ...(method === 'GET' ? {} : { body: '{}' }),
  });
  await response.body?.cancel();
  return response;
}

async function withAuthentication(t: Test, settings = {}) {
  const { tokens, policy } = files(t.testdir({}));
  return startGateway(t, {
    'server.auth.tokens.file': tokens,
    'server.auth.policyFile': policy,
    'kubesvc.dynamicAccounts.enabled': true,
    ...settings,
  });
}

test('every route, by every role', async (t) => {
  const open = await startGateway(t, { 'kubesvc.dynamicAccounts.enabled': true });
  const strict = await withAuthentication(t);
  const order: readonly Who[] = ['nobody', 'stranger', 'read', 'operate', 'admin'];
  for (const [method, path, needed] of routes) {
    await t.test(`${method} ${path}`, async (t) => {
      t.notMatch((await call(open, method, path, 'nobody')).status, 401, 'without the defence nobody is asked');
      for (const who of order) {
        const { status, headers } = await call(strict, method, path, who);
        const may = needed === 'public' || order.indexOf(who) >= order.indexOf(needed);
        if (may) t.notOk([401, 403].includes(status), `${who} may: ${String(status)}`);
        else t.equal(status, who === 'nobody' ? 401 : 403, `${who} may not`);
        if (status === 401) t.equal(headers.get('www-authenticate'), 'Bearer');
      }
    });
  }
  await t.test('there are no others', async (t) => {
    const { body } = await strict.request('/openapi.json', { headers: { authorization: 'Bearer read' } });
    const paths = body['paths'] as Record<string, Record<string, unknown>>;
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{[^}]+\}/gu, 'x')}`),
    );
    const listed = new Set(routes.map(([method, path]) => `${method} ${path.replace('account/x', 'x/x')}`));
    t.same(
      described.filter((route) => !listed.has(route)),
      [],
    );
  });
  await t.test('what is shown has to hold, on public routes it is not looked at', async (t) => {
    const bad = { authorization: 'Bearer guess' };
    t.match(await strict.request('/armory/agents', { headers: bad }), {
      status: 401,
      body: { field: 'authorization' },
    });
    t.equal((await strict.request('/readyz', { headers: bad })).status, 200);
    t.match(await strict.request('/armory/agents', { headers: { authorization: 'Bearer stranger' } }), {
      status: 403,
      body: {
        type: 'urn:agent-gateway:problem:permission-denied',
        detail: /no rule of the policy matches token:stranger/u,
      },
    });
    t.match(
      await strict.request('/armory/agent/x/disconnect', {
        method: 'POST',
        headers: { authorization: 'Bearer operate' },
      }),
      { status: 403, body: { detail: 'this needs the role admin; the role of policy:operate is operate' } },
    );
    const log = JSON.stringify(strict.log);
    t.notMatch(log, /guess/u);
    t.match(log, /request denied/u);
  });
});

test('a role for those who show nothing', async (t) => {
  const gateway = await withAuthentication(t, { 'server.auth.anonymousRole': 'read' });
  t.equal((await call(gateway, 'GET', '/armory/agents', 'nobody')).status, 200);
  t.equal((await call(gateway, 'POST', '/armory/agent/operations', 'nobody')).status, 403);
  t.equal((await call(gateway, 'POST', '/armory/agent/operations', 'operate')).status, 400);
  t.equal((await gateway.request('/armory/agents', { headers: { authorization: 'Bearer guess' } })).status, 401);
});

test('pretending to be an instance', async (t) => {
  const open = await startGateway(t);
  const strict = await withAuthentication(t);
  const headers = { 'x-agent-gateway-forwarded-by': 'gateway-2', authorization: 'Bearer operate' };
  const result = { method: 'POST', body: new Uint8Array(0) };
  const messages = { ...headers, 'content-type': 'application/x-protobuf' };
  t.match(await open.request('/armory/agent/operations', { ...result, headers: messages }), { status: 200 });
  t.match(await strict.request('/armory/agent/operations', { ...result, headers: messages }), {
    status: 403,
    body: { field: 'x-agent-gateway-forwarded-by' },
  });
  const { 'x-agent-gateway-forwarded-by': _, ...unnamed } = messages;
  t.equal((await strict.request('/armory/agent/operations', { ...result, headers: unnamed })).status, 403);
  t.equal((await open.request('/armory/clouddrivers/sql/pool/settings', { headers })).status, 200);
  t.equal((await strict.request('/armory/clouddrivers/sql/pool/settings', { headers })).status, 403);
});

test('callers with certificates, over HTTP/1.1 and HTTP/2', async (t) => {
  const authority = new Authority(t);
  const server = authority.issue({ subject: '/CN=gateway', alternativeNames: 'IP:127.0.0.1' });
  const directory = t.testdir({});
  const { policy } = files(directory);
  const tls = {
    'server.ssl.enabled': true,
    'server.ssl.certificateChain': server.certificate,
    'server.ssl.privateKey': server.key,
    'server.ssl.trustCertCollection': authority.certificate,
    'server.ssl.clientAuth': 'OPTIONAL',
  };
  const gateway = await startGateway(t, {
    ...tls,
    'server.auth.x509.enabled': true,
    'server.auth.policyFile': policy,
  });
  const status = (path: string, subject: string | undefined, { restPort } = gateway): Promise<number> =>
    new Promise((resolve, reject) => {
      const issued = subject === undefined ? undefined : authority.issue({ subject });
      const pair = issued && { cert: authority.read(issued.certificate), key: authority.read(issued.key) };
      const options = { host: '127.0.0.1', port: restPort, path, ca: authority.read(authority.certificate) };
      httpsRequest({ ...options, ...pair, agent: false, timeout: 10_000 }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      })
        .on('error', reject)
        .end();
    });
  t.equal(await status('/armory/agents', '/CN=read'), 200);
  t.equal(await status('/armory/agents', '/CN=other'), 403);
  t.equal(await status('/armory/agents', undefined), 401);
  t.equal(await status('/readyz', undefined), 200, 'probes show nothing');

  await t.test('a certificate that proves nothing here does not keep anybody out', async (t) => {
    const { tokens, policy: other } = files(directory);
    const open = await startGateway(t, {
      ...tls,
      'server.auth.tokens.file': tokens,
      'server.auth.policyFile': other,
      'server.auth.anonymousRole': 'read',
    });
    t.equal(await status('/armory/agents', '/CN=anybody', open), 200);
  });
});

test('a policy that changes counts at once', async (t) => {
  const directory = t.testdir({});
  const { tokens, policy } = files(directory);
  const gateway = await startGateway(t, { 'server.auth.tokens.file': tokens, 'server.auth.policyFile': policy });
  const ask = () => fetchAnswer(`${gateway.restUrl}/armory/agents`, { headers: { authorization: 'Bearer stranger' } });
  t.equal((await ask()).status, 403);
  writeFileSync(policy, "callers: [{name: all, match: ['token:*'], role: read}]");
  await waitFor(async () => (await ask()).status === 200);
});

test('a route that names no role takes the highest one', async (t) => {
  const app = fastify();
  t.teardown(() => app.close());
  const nobody = { callers: undefined, instanceTokens: undefined, instanceFilters: [] };
  const metrics = createMetrics('gateway', '0');
  authorizeCalls(app, { ...nobody, anonymousRole: 'operate', timeoutMs: 1_000, logger: silentLogger, metrics });
  app.get('/forgotten', () => 'secret');
  app.get('/named', { config: { role: 'operate' } }, () => 'said');
  t.equal((await app.inject('/named')).body, 'said');
  t.match((await app.inject('/forgotten')).body, /this needs the role admin/u);
});
