/**
 * The console on three replicas: whichever is asked shows the whole cluster, as the REST API has it. With `--screenshots`
 * (npm run screenshots) it writes the pictures of docs/console.md.
 */

import type { Browser, Page } from 'playwright-core';
import { test, type Test } from 'tap';
import type { Overview } from '../../src/gateway/console/answers.js';
import { startCluster } from '../cluster/cluster.js';
import { addAccount, dynamicAgents, dynamicSettings, patchAccount, reaches } from '../cluster/dynamic-accounts.js';
import type { Replica } from '../cluster/replica.js';
import { RawAgent } from '../gateway/raw-agent.js';
import { waitFor } from '../wait.js';
import { noBrowser, openConsole, startBrowser, takePicture } from './browser.js';
import { openTestDatabase, writeFleet } from './fleet.js';

const regions = ['eu-west-1', 'eu-north-1', 'us-east-2', 'ap-south-1'];
const stages = ['prod', 'stage', 'dev'];
const quietAgents = 240;

test('the console of a cluster', { skip: noBrowser }, async (t) => {
  const { replicas, settings } = await startCluster(t, { settings: dynamicSettings });
  const [first, second, third] = replicas as readonly [Replica, Replica, Replica];
  await fill(t, replicas, String(settings['sql.url']));
  const agent = await RawAgent.register(t, second.agentsAddress, {
    agentId: 'spin-agent-6f7c9d58b4-x2k8p',
    accounts: [{ name: 'prod-eu-west-1-payments' }, { name: 'prod-eu-west-1-orders' }],
  });
  const standby = { agentId: 'spin-agent-6f7c9d58b4-q7wzn', accounts: [{ name: 'prod-eu-west-1-payments' }] };
  await RawAgent.register(t, third.agentsAddress, standby);
  const operate = (): Promise<string> => submit(first, agent, 'prod-eu-west-1-orders');
  const done: string[] = [];
  for (let index = 0; index < 9; index += 1) {
    const id = await operate();
    const message = index % 4 === 0 ? 'Deployment.apps "web" is invalid: spec.replicas: Invalid value: -3' : '';
    const status = message === '' ? 200 : 422;
    agent.send({ case: 'result', value: { operationId: id, account: 'prod-eu-west-1-orders', status, message } });
    done.push(id);
  }
  const pending = [await operate(), await operate()];
  await waitFor(async () => ((await first.get('/armory/agent/operations?outcome=pending')) as unknown[]).length === 2);

  await t.test('each replica tells the same, and the same as the REST API of the others', async (t) => {
    const overviews = await Promise.all(
      replicas.map((replica) =>
        waitFor(
          async () => {
            const overview = (await replica.get('/console/data/overview')) as Overview;
            return overview.unread.length === 0 ? overview : undefined;
          },
          { description: `all parts of the overview of ${replica.id}` },
        ),
      ),
    );
    const members = (await third.get('/armory/clouddrivers')) as { id: string; ready: boolean }[];
    const agents = (await second.get('/armory/agents')) as { clouddriverId: string; accounts: string[] }[];
    const accounts = (await first.get('/armory/accounts')) as { status: string }[];
    for (const [index, overview] of overviews.entries()) {
      const at = replicas[index]?.id ?? '';
      t.equal(overview.instanceId, at);
      t.equal(overview.agents.count, agents.length, at);
      t.equal(overview.agents.accounts, new Set(agents.flatMap((one) => one.accounts)).size, at);
      t.match(overview.pending, { count: 2, more: false }, at);
      t.match(overview.dynamic, { enabled: true, byStatus: { FAILED: 1, ACTIVE: 2, INACTIVE: 1 } }, at);
      t.equal(accounts.length, 4);
      t.same(
        overview.replicas.map(({ id, ready, agents: load }) => ({ id, ready, load })),
        members.map(({ id, ready }) => ({
          ...{ id, ready },
          load: agents.filter(({ clouddriverId }) => clouddriverId === id).length,
        })),
        at,
      );
      t.same(
        overview.replicas.map((replica) => replica.pending),
        [2, 0, 0],
        'in flight at the replica that was asked',
      );
    }
  });

  const browser = await startBrowser(t);

  await t.test('the way of an operation over two replicas, seen at the third', async (t) => {
    const id = done[1] ?? '';
    const { page } = await openConsole(browser, third.restUrl, `operations?account=prod-eu-west-1-orders&open=${id}`);
    const text = await page.locator('.timeline ol').innerText();
    t.match(
      text.replaceAll(/\s+/g, ' '),
      /Received gateway-0 .*Processed gateway-1 .*Sent to agent spin-agent-6f7c9d58b4-x2k8p .*Answered spin-agent-6f7c9d58b4-x2k8p .*received by gateway-1 .*Result received gateway-0/,
    );
    t.match(await page.locator('tr.open').innerText(), /scale Deployment\s+shop\/web[^]*spin-agent-6f7c9d58b4-x2k8p/);
  });

  await t.test('dynamic accounts with their state and last error', async (t) => {
    const { page } = await openConsole(browser, second.restUrl, 'dynamic?status=FAILED');
    const row = page.getByRole('row', { name: /dyn-legacy/ });
    await row.waitFor();
    t.match(await row.innerText(), /dyn-legacy\s+FAILED\s+.*refuses the credentials/s);
    await page.getByLabel('State').selectOption('ACTIVE');
    await page.getByText('2 dynamic accounts', { exact: true }).waitFor();
  });

  await t.test('an agent with two that serve its account, one of which caches', async () => {
    const { page } = await openConsole(browser, first.restUrl, 'accounts?search=payments');
    await page
      .getByRole('row', { name: /prod-eu-west-1-payments spin-agent-6f7c9d58b4-x2k8p at gateway-1 2 / })
      .waitFor();
  });

  await t.test('what became of an account at Clouddriver', async (t) => {
    const { page } = await openConsole(browser, first.restUrl);
    const clouddriver = { state: 'conflict', message: 'another made it', lastUpdated: new Date().toISOString() };
    await page.route('**/console/data/accounts?*', async (route) => {
      const list = (await (await route.fetch()).json()) as { readonly items: readonly object[] };
      await route.fulfill({ json: { ...list, items: list.items.map((row) => ({ ...row, clouddriver })) } });
    });
    await page.evaluate(`location.hash = '#/account/prod-eu-west-1-payments'`);
    const facts = page.locator('.facts').first();
    await facts.getByText('At Clouddriver').waitFor();
    t.match((await facts.innerText()).replaceAll(/\s+/g, ' '), /At Clouddriver conflict since .* another made it/);
  });

  await t.test('pictures', (t) => takePictures(t, browser, first, done[8] ?? ''));

  await t.test('a replica that is killed is seen to be gone, without reloading', async (t) => {
    const { page } = await openConsole(browser, first.restUrl);
    await page.getByText('3 of 3').waitFor();
    await third.end('SIGKILL');
    const replica = page.getByRole('region', { name: 'Replicas' }).getByRole('row', { name: /^gateway-2/ });
    await replica.getByText('lost', { exact: true }).waitFor({ timeout: 30_000 });
    await page.getByText('2 of 3').waitFor();
    t.equal(await page.getByText('2 of 2').count(), 0, 'it does not become green by itself');
  });
  for (const id of pending) {
    agent.send({ case: 'result', value: { operationId: id, account: 'prod-eu-west-1-orders', status: 200 } });
  }
});

/** Agents that do nothing, so that there is something to look through, and dynamic accounts in several states. */
async function fill(t: Test, replicas: readonly Replica[], url: string): Promise<void> {
  const [first, second] = replicas as readonly [Replica, Replica, Replica];
  const database = openTestDatabase(t, url);
  for (const [index, { id }] of replicas.entries()) {
    const agents = Array.from({ length: quietAgents / 3 + index * 4 }, (_, number) => {
      const region = regions[(number + index) % regions.length] ?? '';
      const stage = stages[number % stages.length] ?? '';
      const base = `${stage}-${region}-${String(index)}${String(number).padStart(2, '0')}`;
      return { agentId: `spin-agent-${base}`, accounts: number % 5 === 0 ? [base, `${base}-batch`] : [base] };
    });
    await writeFleet(database, id, agents);
  }
  await dynamicAgents(t, {
    addresses: [second.agentsAddress],
    zoneId: 'spin-agent_spinnaker',
    dynamic: { failing: /legacy/ },
  });
  for (const name of ['dyn-analytics', 'dyn-legacy', 'dyn-search', 'dyn-sandbox'])
    await addAccount(first, name, 'spin-agent_spinnaker');
  for (const name of ['dyn-analytics', 'dyn-legacy', 'dyn-search']) await patchAccount(first, name, 'ACTIVE');
  await reaches(first, 'dyn-legacy', ({ status, failedCount }) => status === 'FAILED' && failedCount >= 3);
  for (const name of ['dyn-analytics', 'dyn-search']) await reaches(first, name, ({ status }) => status === 'ACTIVE');
}

/** @returns its id, once the agent has it */
async function submit(replica: Replica, agent: RawAgent, account: string): Promise<string> {
  const object = { kind: 'Deployment', namespace: 'shop', name: 'web' };
  const { body } = await replica.operate({ account, scale: { object, replicas: 3 } }, null);
  const { id } = body.operation as { id: string };
  await agent.next('operation', (operation) => operation.id === id);
  return id;
}

async function takePictures(t: Test, browser: Browser, { restUrl }: Replica, failed: string): Promise<void> {
  const take = async (
    name: string,
    view: string,
    ready: (page: Page) => Promise<unknown>,
    colorScheme: 'light' | 'dark' = 'light',
  ) => {
    const { page, complaints } = await openConsole(browser, restUrl, view, { colorScheme });
    await ready(page);
    await takePicture(t, page, name);
    t.same(complaints, []);
  };
  const row = (page: Page) => page.locator('tbody tr').nth(4).waitFor();
  const open = (page: Page) => page.locator('.timeline').waitFor();
  await take('overview', '', row);
  await take('overview-dark', '', row, 'dark');
  await take('agents', 'agents?search=eu-west', row);
  await take('accounts', 'accounts?search=prod', row);
  await take('operations', `operations?open=${failed}`, open);
  await take('operations-dark', `operations?open=${failed}`, open, 'dark');
  await take('dynamic-accounts', 'dynamic', (page) => page.locator('tbody tr').nth(3).waitFor());
}
