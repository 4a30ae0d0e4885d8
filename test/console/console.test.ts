/** The console in a browser, on one replica: what it shows, how it is used, and that nothing hostile gets through it. */

import type { Browser, Page } from 'playwright-core';
import { test, type Test } from 'tap';
import { startSimulatedAgents } from '../../src/simulate/agents.js';
import { RawAgent } from '../gateway/raw-agent.js';
import { gatewayId, startGateway, type RunningGateway } from '../gateway/running-gateway.js';
import { mariaDbDatabase } from '../services/databases.js';
import { waitFor } from '../wait.js';
import { noBrowser, openConsole, startBrowser, violations } from './browser.js';
import { openTestDatabase, writeFleet } from './fleet.js';

const agents = 60;
const hostile = '<img src=x onerror="document.title=`taken`">';
const views = ['', 'agents', 'accounts', 'operations', 'dynamic'];

interface Rest {
  readonly gateway: RunningGateway;
  list(path: string): Promise<Record<string, unknown>[]>;
}

function rest(gateway: RunningGateway): Rest {
  return {
    gateway,
    list: async (path) => (await gateway.request(path)).body as unknown as Record<string, unknown>[],
  };
}

const figure = async (page: Page, label: string): Promise<string> =>
  (
    await page
      .getByRole('link', { name: new RegExp(`^${label} [\\d o]`) })
      .locator('.value')
      .textContent()
  )?.trim() ?? '';
const rows = (page: Page) => page.locator('tbody tr:not(.details)');
const go = (page: Page, view: string): Promise<unknown> => page.evaluate(`location.hash = '#/${view}'`);

test('the console in a browser', { skip: noBrowser }, async (t) => {
  const { url } = await mariaDbDatabase(t);
  const gateway = await startGateway(t, { 'sql.url': url });
  const { list } = rest(gateway);
  const simulated = await startSimulatedAgents({ addresses: [gateway.agentsAddress], agents, accounts: 2 });
  t.teardown(() => simulated.stop());
  await simulated.ready(AbortSignal.timeout(120_000));
  for (const account of simulated.accounts.slice(0, 6)) {
    await gateway.operate({ account, scale: { object: { kind: 'Deployment', name: 'web' }, replicas: 2 } });
  }
  const slow = await RawAgent.register(t, gateway.agentsAddress, {
    agentId: 'slow-agent',
    accounts: [{ name: 'slow', properties: { kubernetesApi: 'read' } }],
  });
  const browser = await startBrowser(t);

  await t.test('loads under a strict policy, in light and dark, without a complaint', (t) =>
    loads(t, browser, gateway),
  );

  await t.test('every number is that of the REST API', async (t) => {
    const { page } = await openConsole(browser, gateway.restUrl);
    const connected = await list('/armory/agents');
    const accounts = new Set(connected.flatMap((agent) => agent['accounts'] as string[]));
    await waitFor(async () => (await figure(page, 'Agents')) === String(connected.length));
    t.equal(await figure(page, 'Accounts'), String(accounts.size));
    t.equal(await figure(page, 'Replicas ready'), '1 of 1');
    t.equal(await figure(page, 'Not cached'), '0');
    t.equal(await figure(page, 'In flight'), String((await list('/armory/agent/operations?outcome=pending')).length));
    t.equal(await figure(page, 'Dynamic accounts'), 'off', 'as /armory/accounts answers 501');
    const replica = page.getByRole('region', { name: 'Replicas' }).locator('tbody tr');
    t.match(await replica.allInnerTexts(), [/ready\s+61\s+121\s+0\s+test/]);
  });

  await t.test('agents are searched, filtered and paged by the server', async (t) => {
    const { page } = await openConsole(browser, gateway.restUrl, 'agents');
    await page.getByText('61 agents', { exact: true }).waitFor();
    t.equal(await rows(page).count(), 50);
    await page.getByRole('link', { name: 'Next' }).click();
    await page.getByText('Page 2 of 2').waitFor();
    await waitFor(async () => (await rows(page).count()) === 11);
    await page.getByRole('searchbox', { name: 'Search' }).fill('SIM-7-');
    await page.getByText('1 agent', { exact: true }).waitFor();
    t.match(await rows(page).allInnerTexts(), [/sim-agent-7\s/], 'by the name of its account, on the first page');
    t.match(page.url(), /search=SIM-7-$/, 'the address can be sent to somebody');
    await page.getByRole('searchbox', { name: 'Search' }).fill('');
    await page.getByLabel('Caching').selectOption('false');
    await page.getByText('No connected agent matches.').waitFor();
  });

  await t.test('accounts, and who caches them', async (t) => {
    const { page } = await openConsole(browser, gateway.restUrl, 'accounts?search=sim-3-');
    await page.getByText('2 accounts', { exact: true }).waitFor();
    t.match(await rows(page).allInnerTexts(), [/sim-3-0\s+sim-agent-3\s+at gateway-under-test\s+1/, /sim-3-1/]);
    await page.getByRole('link', { name: 'Operations of sim-3-0' }).click();
    await page.getByText('No operation matches.').waitFor();
  });

  await t.test('how kubectl reaches an account whose agents allow it', async (t) => {
    const { page } = await openConsole(browser, gateway.restUrl, 'accounts?search=slow');
    await page.getByText('read', { exact: true }).click();
    const commands = await page.locator('pre').innerText();
    t.match(
      commands,
      `agent-gateway kubeconfig slow --merge --rest ${gateway.restUrl}\nkubectl --context slow get pods`,
    );
    await go(page, 'accounts?search=sim-3-0');
    await page.getByText('off', { exact: true }).waitFor();
  });

  await t.test('an operation in flight appears and ends without reloading, with its way', async (t) => {
    const { page } = await openConsole(browser, gateway.restUrl);
    await page.evaluate('window.sameDocument = true');
    const { body } = await gateway.operate(
      { account: 'slow', scale: { object: { kind: 'Deployment', name: 'web' } } },
      null,
    );
    const { id } = body['operation'] as { id: string };
    await waitFor(async () => (await figure(page, 'In flight')) === '1');
    await page.getByRole('button', { name: new RegExp(id) }).click();
    await page.getByText('not known yet').first().waitFor();
    slow.send({ case: 'result', value: { operationId: id, account: 'slow', status: 500, message: hostile } });
    await waitFor(async () => (await figure(page, 'In flight')) === '0');
    await page
      .getByRole('region', { name: 'Latest failures' })
      .getByText('slow-agent', { exact: true })
      .first()
      .waitFor();

    const record = (await gateway.request(`/armory/agent/operations/${id}`)).body;
    const times = await page.evaluate(
      `[...document.querySelectorAll('.timeline li time')].map((time) => time.dateTime)`,
    );
    t.same(
      times,
      [
        'opReceivedByClouddriver',
        'opProcessedByClouddriver',
        'opSentToAgent',
        'resultReceivedFromAgent',
        'resultReceivedByClouddriver',
      ].map((step) => (record[step] as { time: string }).time),
    );
    t.equal(await page.locator('.timeline .message').textContent(), hostile, 'what an agent says is text');
    t.equal(await page.evaluate('window.sameDocument'), true);
    await go(page, `operations?outcome=completed&open=${id}`);
    await page.getByRole('link', { name: 'Show it by itself' }).click();
    await page
      .getByRole('region', { name: `Operation ${id}` })
      .getByText('Sent to agent')
      .waitFor();
  });

  await t.test('with the keyboard alone', (t) => keyboard(t, browser, gateway));
  await t.test('accessible by the rules of axe, in both themes', (t) => accessible(t, browser, gateway));

  await t.test('rows that somebody else wrote are text', async (t) => {
    await writeFleet(openTestDatabase(t, url), gatewayId, [{ agentId: hostile, accounts: [`account${hostile}`] }]);
    const { page, complaints } = await openConsole(browser, gateway.restUrl, 'agents?search=onerror');
    await page.getByRole('rowheader', { name: hostile, exact: true }).waitFor({ timeout: 15_000 });
    await go(page, 'accounts?search=onerror');
    await page.getByText('1 account', { exact: true }).waitFor();
    t.equal(await page.locator('main img').count(), 0);
    t.equal(await page.title(), 'Accounts · Agent Gateway');
    t.same(complaints, []);
  });

  await t.test('a stopped replica ends its streams', async (t) => {
    const { page } = await openConsole(browser, gateway.restUrl);
    const start = performance.now();
    await gateway.gateway.stop();
    t.ok(performance.now() - start < 60_000, 'open streams do not hold it up');
    await page.getByText('connection lost', { exact: true }).waitFor();
  });
});

async function loads(t: Test, browser: Browser, gateway: RunningGateway): Promise<void> {
  const { headers } = await fetch(`${gateway.restUrl}/console`);
  const policy = headers.get('content-security-policy') ?? '';
  t.match(policy, "default-src 'none'; script-src 'self'; style-src 'self'");
  t.notMatch(policy, /unsafe|data:|https?:/);
  const grounds = [];
  for (const colorScheme of ['light', 'dark'] as const) {
    const { page, complaints } = await openConsole(browser, gateway.restUrl, '', { colorScheme });
    for (const view of views) {
      await go(page, view);
      await page.locator(`nav a[aria-current]`).waitFor();
    }
    grounds.push(await ground(page));
    t.same(complaints, [], colorScheme);
  }
  t.not(grounds[0], grounds[1], 'the theme is the system’s');

  const { page } = await openConsole(browser, gateway.restUrl, '', { colorScheme: 'light' });
  await page.getByLabel('Colours').selectOption('dark');
  t.equal(await ground(page), grounds[1]);
  await page.reload();
  await page.getByText('live', { exact: true }).waitFor();
  t.equal(await ground(page), grounds[1], 'or the one that was chosen');
  t.equal(await page.getByLabel('Colours').inputValue(), 'dark');
}

const ground = (page: Page): Promise<unknown> => page.evaluate('getComputedStyle(document.body).backgroundColor');

async function keyboard(t: Test, browser: Browser, gateway: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, gateway.restUrl);
  const focused = (): Promise<string> => page.evaluate('document.activeElement.textContent.trim()');
  await page.keyboard.press('Tab');
  t.equal(await focused(), 'Skip to content');
  await page.keyboard.press('Enter');
  t.equal(await page.evaluate('document.activeElement.id'), 'main');
  await page.reload();
  await page.getByText('live', { exact: true }).waitFor();
  for (let presses = 0; presses < 5; presses += 1) await page.keyboard.press('Tab');
  t.equal(await focused(), 'Operations');
  await page.keyboard.press('Enter');
  await page.getByRole('table', { name: 'Operations' }).waitFor();
  t.equal(await page.evaluate('document.activeElement.id'), 'main', 'a new view is read from its top');
  await page.keyboard.press('/');
  t.equal(await page.evaluate('document.activeElement.name'), 'search');
  const first = page.locator('.disclosure').first();
  await first.focus();
  await page.keyboard.press('Enter');
  await page.locator('.timeline').waitFor();
  t.equal(await first.getAttribute('aria-expanded'), 'true');
  t.equal(await page.locator(`#${(await first.getAttribute('aria-controls')) ?? ''}`).count(), 1);
  await page.keyboard.press('Space');
  await page.locator('.timeline').waitFor({ state: 'detached' });
  t.equal(await page.evaluate('document.activeElement.className'), 'disclosure', 'the focus stays where it was');
}

async function accessible(t: Test, browser: Browser, gateway: RunningGateway): Promise<void> {
  const { body } = await gateway.request('/armory/agent/operations?items=1');
  const [{ operationId }] = body as unknown as [{ operationId: string }];
  const items = ['account/slow', 'agent/slow-agent', `operation/${operationId}`, 'agents?state=offline', 'nonsense'];
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 390]) {
      const options = { colorScheme, bypassCSP: true, viewport: { width, height: 860 } };
      const { page } = await openConsole(browser, gateway.restUrl, '', options);
      for (const view of [...views, ...items]) {
        await go(page, view);
        await page.locator('main :is(tbody tr, .empty, .timeline)').first().waitFor();
        if (view === 'operations') {
          await page.getByText('More filters').click();
          await page.locator('.disclosure').first().click();
          await page.locator('.timeline').waitFor();
        }
        t.same(await violations(page), [], `${view || 'overview'}, ${colorScheme}, ${String(width)}`);
      }
    }
  }
}
