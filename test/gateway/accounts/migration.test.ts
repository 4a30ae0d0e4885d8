/** Accounts of a Clouddriver become dynamic ones: by themselves where their names match, or when asked for. */

import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type Test } from 'tap';
import { Clouddriver } from '../../../src/gateway/accounts/clouddriver.js';
import { startSimulatedAgents } from '../../../src/simulate/agents.js';
import { waitFor } from '../../wait.js';
import { startGateway } from '../running-gateway.js';

interface Definition {
  readonly name: string;
  readonly [option: string]: unknown;
}

/** A Clouddriver with account management, or without. */
async function clouddriver(t: Test, accounts: readonly Definition[], management = true) {
  const asked: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const url = new URL(request.url ?? '', 'http://clouddriver');
    asked.push(`${url.pathname}${url.search}`);
    const answer = (status: number, body: unknown): void => {
      response.statusCode = status;
      response.end(JSON.stringify(body));
    };
    const limit = Number(url.searchParams.get('limit') ?? accounts.length);
    const start = url.searchParams.get('startingAccountName') ?? '';
    if (url.pathname === '/credentials/type/kubernetes' && management) {
      answer(200, accounts.filter(({ name }) => name >= start).slice(0, limit));
    } else if (url.pathname === '/credentials') {
      answer(200, [{ name: 'aws-1', type: 'aws' }, ...accounts.map((account) => ({ ...account, type: 'kubernetes' }))]);
    } else {
      const found = accounts.find(({ name }) => url.pathname === `/credentials/${name}`);
      answer(found === undefined ? 404 : 200, found ?? { message: 'not found' });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return { url: `http://user:hunter2@127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const numbered = (count: number): Definition[] =>
  Array.from({ length: count }, (_, index) => ({
    ...{ name: `prod-${String(index).padStart(2, '0')}`, kubeconfigFile: '/agent/kubeconfig', skin: 'v2' },
  }));

test('pages', async (t) => {
  const signal = AbortSignal.timeout(120_000);
  for (const management of [true, false]) {
    for (const batch of [1, 3, 4, 7, 100]) {
      const { url } = await clouddriver(t, numbered(7), management);
      const names: string[] = [];
      for await (const page of new Clouddriver({ url, field: 'clouddriverUrl' }).pages(batch, signal)) {
        t.ok(page.length <= batch);
        names.push(...page.map(({ name }) => name));
      }
      t.same(
        names,
        numbered(7).map(({ name }) => name),
        `${batch} at a time, ${management ? 'with' : 'without'} management`,
      );
    }
  }
  const gone = new Clouddriver({ url: 'http://user:hunter2@127.0.0.1:1', field: 'clouddriverUrl' });
  await t.rejects(gone.find('a', signal), { code: 'dependency-unavailable', message: /^(?!.*hunter2)/su });
});

test('accounts whose names match are migrated and activated; others when they are asked for', async (t) => {
  const { url, asked } = await clouddriver(t, [
    ...numbered(5),
    { name: 'staging', kubeconfigFile: '/agent/staging', namespaces: ['a'] },
    { name: 'unusable-prod', kubeconfigFile: 'encryptedFile:s3!b:x' },
  ]);
  const gateway = await startGateway(t, {
    'kubesvc.dynamicAccounts.enabled': true,
    'kubesvc.dynamicAccounts.clouddriverUrl': url,
    'kubesvc.dynamicAccounts.namePatterns': 'prod-.*,.*-prod',
    'kubesvc.dynamicAccounts.scanBatchSize': 2,
    'kubesvc.dynamicAccounts.scanFrequencySeconds': 1,
  });
  const agents = await startSimulatedAgents({
    addresses: [gateway.agentsAddress],
    agents: 1,
    accounts: 0,
    dynamic: {},
  });
  t.teardown(() => agents.stop());
  const listed = async (status: string) => {
    const { body } = await gateway.request(`/armory/accounts?status=${status}`);
    return (body as unknown as { name: string }[]).map(({ name }) => name);
  };
  await waitFor(async () => (await listed('ACTIVE')).length === 5, {
    description: 'five to be active',
  });
  t.same(
    await listed('ACTIVE'),
    numbered(5).map(({ name }) => name),
  );
  t.ok(
    asked.some((path) => path.includes('limit=2')),
    'in batches',
  );
  t.match((await gateway.request('/armory/accounts/prod-00')).body, {
    config: { kubeconfigFile: '/agent/kubeconfig' },
  });
  t.ok(gateway.log.some(({ msg, account }) => msg.includes('not migrated') && account === 'unusable-prod'));

  const post = (body: unknown) =>
    gateway.request('/armory/accounts', {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    });
  t.equal((await post([{ name: 'staging' }])).status, 202);
  t.match((await gateway.request('/armory/accounts/staging')).body, {
    ...{ status: 'INACTIVE', config: { kubeconfigFile: '/agent/staging', namespaces: ['a'] } },
  });
  t.match(await post([{ name: 'prod-00' }]), { status: 409, body: [{ name: 'prod-00', state: 'ACTIVE' }] });
  t.match(await post([{ name: 'nobody' }]), { status: 400, body: { detail: /Clouddriver has no account "nobody"/u } });
  const scans = asked.length;
  await waitFor(() => asked.length > scans + 8, { description: 'another scan' });
  t.equal((await listed('ACTIVE')).length, 5, 'another scan changes nothing');
  t.notOk(JSON.stringify(gateway.log).includes('hunter2'));
});
