/** How the console is used: Back, links, rows, filters, times, and what it says when the replica does not answer. */

import type { Browser, Page } from 'playwright-core';
import { test, type Test } from 'tap';
import { OperationStore } from '../../src/store/operations/operations.js';
import { gatewayId, startGateway, type RunningGateway } from '../gateway/running-gateway.js';
import { mariaDbDatabase } from '../services/databases.js';
import { waitFor } from '../wait.js';
import { noBrowser, openConsole, startBrowser } from './browser.js';
import { openTestDatabase, writeFleet } from './fleet.js';
import { endedOperation } from './history.js';

const hour = 3_600_000;
const now = Date.now();
const message =
  'Deployment.apps "web" is invalid: spec.replicas: Invalid value: -3: must be greater than or equal to 0';
const failures = ['failed', 'timed out', 'agent lost', 'cancelled', 'refused'] as const;
const rows = (page: Page) => page.locator('tbody tr:not(.details)');
const phone = { viewport: { width: 390, height: 844 } };
const choice = (page: Page, name: string) => page.getByRole('combobox', { name, exact: true });
const hash = (page: Page): Promise<string> => page.evaluate('decodeURIComponent(location.hash)');

test('using the console', { skip: noBrowser }, async (t) => {
  const { url } = await mariaDbDatabase(t);
  const gateway = await startGateway(t, { 'sql.url': url });
  const database = openTestDatabase(t, url);
  const fleet = Array.from({ length: 60 }, (_, index) => ({
    agentId: `sim-agent-${String(index)}`,
    accounts: Array.from({ length: index === 7 ? 4 : 2 }, (_, account) => `sim-${String(index)}-${String(account)}`),
  }));
  await writeFleet(database, gatewayId, fleet);
  const records = [
    ...failures.map((finalOutcome, index) =>
      endedOperation({ startTime: now - 60_000 + index, finalOutcome, account: 'sim-46-0', errorMessage: message }),
    ),
    ...['sim-46-0', 'sim-46-1', 'sim-4-0'].map((account, index) =>
      endedOperation({ startTime: now - 50_000 + index, account, sentToAgent: { agentId: 'sim-agent-46', time: now } }),
    ),
    endedOperation({ startTime: now - 26 * hour, account: 'yesterday', totalDurationMs: 5_000 }),
    endedOperation({
      startTime: now - 40_000,
      account: 'sim-5-0',
      finalOutcome: 'failed',
      errorMessage: 'quota exceeded: pods',
      operationType: 'deploy',
      caller: 'policy:somebody',
      object: { group: '', kind: 'ConfigMap', resource: 'configmaps', namespace: 'web', name: 'settings' },
    }),
  ];
  await new OperationStore(database).note(records);
  const browser = await startBrowser(t);

  await t.test('filters and open rows are entries of the history', (t) => back(t, browser, gateway));
  await t.test('a row opens wherever it is clicked, and a text in it can be selected', (t) =>
    click(t, browser, gateway),
  );
  await t.test('Escape closes a row, and the focus stays', (t) => escape(t, browser, gateway));
  await t.test('failures are everything that did not complete, with the error in the row', (t) =>
    allFailures(t, browser, gateway),
  );
  await t.test('text is found in names, accounts and errors, by a part of it', (t) => search(t, browser, gateway));
  await t.test('the filters are those of the REST API', (t) => filters(t, browser, gateway));
  await t.test('account, agent and object are links, and have addresses of their own', (t) =>
    links(t, browser, gateway),
  );
  await t.test('an address that is not there says so', (t) => unknown(t, browser, gateway));
  await t.test('lists are sorted', (t) => sorting(t, browser, gateway));
  await t.test('operations are sorted within the page, and it says so', (t) => sortingOperations(t, browser, gateway));
  await t.test('one time zone, local or UTC, with its name', (t) => zones(t, browser, gateway));
  await t.test('ids, names and messages are copied', () => copying(browser, gateway));
  await t.test('on a telephone, outcome and error are read without scrolling sideways', (t) =>
    narrow(t, browser, gateway),
  );
  await t.test('when the replica does not answer, what is shown is dated and grey', (t) => stale(t, browser, gateway));
});

async function back(t: Test, browser: Browser, { restUrl }: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, restUrl, 'operations');
  await rows(page).first().waitFor();
  await choice(page, 'Outcome').selectOption('failed');
  await waitFor(async () => (await rows(page).count()) === 2);
  await page.locator('.disclosure').first().click();
  await page.locator('.timeline').waitFor();
  await page.getByRole('searchbox', { name: 'Search' }).pressSequentially('quota', { delay: 60 });
  await waitFor(async () => (await rows(page).count()) === 1);
  t.equal(await hash(page), '#/operations?outcome=failed&search=quota');
  await page.goBack();
  await page.locator('.timeline').waitFor();
  t.match(await hash(page), /^#\/operations\?outcome=failed&open=/, 'the typed word is one entry');
  await page.goBack();
  await page.locator('.timeline').waitFor({ state: 'detached' });
  t.equal(await hash(page), '#/operations?outcome=failed');
  await page.goBack();
  await waitFor(async () => (await rows(page).count()) === 10);
  t.equal(await choice(page, 'Outcome').inputValue(), '', 'the field follows');
  t.equal(await page.getByRole('searchbox', { name: 'Search' }).inputValue(), '');
  await page.goForward();
  await waitFor(async () => (await rows(page).count()) === 2);
}

async function click(t: Test, browser: Browser, { restUrl }: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, restUrl, 'operations');
  const row = page.getByRole('row', { name: /sim-5-0/ });
  await row.locator('td.number').click();
  await page.locator('.timeline').waitFor();
  await row.getByRole('rowheader').click({ position: { x: 3, y: 3 } });
  await page.locator('.timeline').waitFor({ state: 'detached' });
  const error = row.locator('.error');
  const box = (await error.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
  await page.mouse.move(box.x + 2, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + 90, box.y + box.height / 2, { steps: 5 });
  await page.mouse.up();
  t.match(await page.evaluate('getSelection().toString()'), /^quota exc/);
  t.equal(await page.locator('.timeline').count(), 0, 'selecting does not open');
}

async function escape(t: Test, browser: Browser, { restUrl }: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, restUrl, 'operations');
  await page.locator('.disclosure').first().focus();
  await page.keyboard.press('Enter');
  await page.locator('.timeline').waitFor();
  await page.keyboard.press('Tab');
  for (let presses = 0; presses < 4; presses += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(`document.activeElement.closest('.timeline') !== null`)) break;
  }
  t.ok(await page.evaluate(`document.activeElement.closest('.timeline') !== null`), 'Tab leads into it');
  await page.keyboard.press('Escape');
  await page.locator('.timeline').waitFor({ state: 'detached' });
  t.equal(await page.evaluate('document.activeElement.className'), 'disclosure');
}

async function allFailures(t: Test, browser: Browser, { restUrl }: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, restUrl);
  await page.getByRole('link', { name: 'All failures' }).click();
  await waitFor(async () => (await rows(page).count()) === 6);
  const texts = (await rows(page).allInnerTexts()).join('\n');
  for (const outcome of failures) t.match(texts, outcome);
  t.match(texts, 'must be greater than or equal to 0', 'without opening the row');
  t.notMatch(texts, 'completed');
}

async function search(t: Test, browser: Browser, { restUrl }: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, restUrl, 'operations');
  const field = page.getByRole('searchbox', { name: 'Search' });
  await field.fill('SIM-46');
  await waitFor(async () => (await rows(page).count()) === 7);
  t.match((await rows(page).allInnerTexts()).join('\n'), /sim-46-1/);
  for (const text of ['quota', 'settin', '5-0']) {
    await field.fill(text);
    await waitFor(async () => /sim-5-0/.test((await rows(page).allInnerTexts()).join()), { description: text });
    await waitFor(async () => (await rows(page).count()) === 1, { description: text });
  }
  await page.evaluate(`location.hash = '#/accounts'`);
  await page.getByRole('searchbox', { name: 'Search' }).fill('sim-46');
  await page.getByText('2 accounts', { exact: true }).waitFor();
}

async function filters(t: Test, browser: Browser, gateway: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, gateway.restUrl, 'operations');
  const { body } = await gateway.request('/openapi.json');
  const paths = body['paths'] as Record<string, { get: { parameters: { name: string }[] } }>;
  const names = paths['/armory/agent/operations']?.get.parameters.map(({ name }) => name) ?? [];
  await page.getByText('More filters').click();
  const fields = await page.evaluate<string[]>(
    `[...document.querySelectorAll('form.filters [name]')].map(({ name }) => name)`,
  );
  // `items` and `page` are not filters, `after` is in the links to older ones.
  const wanted = names.filter((name) => !['items', 'page', 'after'].includes(name));
  t.same(fields.filter((name) => name !== 'range').sort(), wanted.sort());

  const fill = async (label: string, text: string, count: number) => {
    await page.getByRole('searchbox', { name: label, exact: true }).fill(text);
    await waitFor(async () => (await rows(page).count()) === count, { description: `${label} ${text}` });
  };
  await fill('Kind', 'ConfigMap', 1);
  await fill('Kind', '', 10);
  await fill('Caller', 'policy:somebody', 1);
  await fill('Caller', '', 10);
  await fill('Agent', 'sim-agent-46', 3);
  await fill('Account', 'sim-4-0', 1);
  await page.getByRole('link', { name: 'Remove the filter Account sim-4-0' }).click();
  await waitFor(async () => (await rows(page).count()) === 3);
  await fill('Agent', '', 10);
  await choice(page, 'Started').selectOption('1h');
  await waitFor(async () => (await rows(page).count()) === 9, { description: 'the last hour' });
  await page.getByLabel('failed', { exact: true }).check();
  await page.getByLabel('timed out', { exact: true }).check();
  await waitFor(async () => (await rows(page).count()) === 3, { description: 'several outcomes' });
  t.match(await hash(page), /outcome=failed,timed\+out/);
}

async function links(t: Test, browser: Browser, { restUrl }: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, restUrl, 'operations?search=sim-46-1');
  const row = page.getByRole('row', { name: /sim-46-1/ });
  await row.getByRole('link', { name: 'sim-46-1' }).click();
  await page.getByRole('heading', { name: 'Account sim-46-1' }).waitFor();
  await page.getByText('Cached by').waitFor();
  t.match(await rows(page).allInnerTexts(), [/scale Deployment/], 'with its operations');
  await page.getByRole('link', { name: 'sim-agent-46', exact: true }).first().click();
  await page.getByRole('heading', { name: 'Agent sim-agent-46' }).waitFor();
  await page.getByText('Connected since').waitFor();
  await waitFor(async () => (await rows(page).count()) === 3);
  await rows(page).first().getByRole('link', { name: 'shop/web' }).click();
  await waitFor(async () => (await hash(page)) === '#/operations?kind=Deployment&namespace=shop&name=web');
  await page.locator('.disclosure').first().click();
  const operation = page.locator('.timeline .facts a').first();
  const id = await operation.innerText();
  await operation.click();
  await page.getByRole('region', { name: `Operation ${id}` }).waitFor();
  t.equal(await hash(page), `#/operation/${id}`);
  await page.reload();
  await page.getByRole('region', { name: `Operation ${id}` }).waitFor();
  await page.evaluate(`location.hash = '#/agents?search=sim-agent-7'`);
  await rows(page)
    .first()
    .locator('td.number')
    .click({ position: { x: 5, y: 5 } });
  await page.getByRole('heading', { name: 'Agent sim-agent-7' }).waitFor();
}

async function unknown(t: Test, browser: Browser, { restUrl }: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, restUrl, 'nonsense');
  await page.getByText('There is no page at #/nonsense').waitFor();
  t.match(await page.title(), /^Unknown address/);
  for (const [view, text] of [
    ['account', 'There is no page at #/account'],
    ['agents/x', 'There is no page at #/agents/x'],
    ['account/nobody', 'No connected agent serves an account of this name'],
    ['agent/nobody', 'No agent of this id is connected'],
    ['operation/01ARZ3NDEKTSV4RRFFQ69G5FAV', '01ARZ3NDEKTSV4RRFFQ69G5FAV is not known'],
  ] as const) {
    await page.evaluate(`location.hash = '#/${view}'`);
    await page.locator('main').getByText(text).first().waitFor();
  }
}

async function sorting(t: Test, browser: Browser, { restUrl }: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, restUrl, 'agents');
  await page.getByRole('link', { name: 'Accounts', exact: true }).and(page.locator('th a')).click();
  await waitFor(async () => ((await rows(page).first().innerText()).match(/sim-agent-7\s/)?.length ?? 0) === 1);
  t.equal(await page.getByRole('columnheader', { name: 'Accounts' }).getAttribute('aria-sort'), 'descending');
  await page.getByRole('columnheader', { name: 'Agent', exact: true }).getByRole('link').click();
  await waitFor(async () => /sim-agent-0\s/.test(await rows(page).first().innerText()));
  await page.goBack();
  await waitFor(async () => /sim-agent-7\s/.test(await rows(page).first().innerText()));
}

async function sortingOperations(t: Test, browser: Browser, { restUrl }: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, restUrl, 'operations');
  const title = (name: RegExp) => page.getByRole('columnheader', { name }).getByRole('link');
  await rows(page).first().waitFor();
  const newestFirst = await rows(page).allInnerTexts();
  t.equal(await page.getByRole('columnheader', { name: /^Started/ }).getAttribute('aria-sort'), 'descending');
  await title(/^Duration/).click();
  await page.getByText('Only the 10 operations on this page are sorted').waitFor();
  t.match(await rows(page).first().innerText(), 'yesterday', 'the longest first');
  await title(/^Account/).click();
  await waitFor(async () => /sim-4-0/.test(await rows(page).first().innerText()));
  await title(/^Account/).click();
  await waitFor(async () => /yesterday/.test(await rows(page).first().innerText()));
  t.equal(await hash(page), '#/operations?sort=-account');
  t.same((await rows(page).allInnerTexts()).toSorted(), newestFirst.toSorted(), 'the same rows');
  await page.getByRole('link', { name: 'Show this page newest first' }).click();
  await page.getByText('on this page are sorted').waitFor({ state: 'detached' });
  t.same(await rows(page).allInnerTexts(), newestFirst);

  await page.evaluate(`location.hash = '#/account/sim-46-0'`);
  await title(/^Outcome/).click();
  await waitFor(async () => /agent lost/.test(await rows(page).first().innerText()));
  t.equal(await hash(page), '#/account/sim-46-0?sort=outcome');
}

async function zones(t: Test, browser: Browser, { restUrl }: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, restUrl, 'operations?search=quota', { timezoneId: 'Asia/Kolkata' });
  const start = new Date(now - 40_000);
  const clock = (timeZone: string) => start.toLocaleTimeString('en-GB', { timeZone });
  const time = rows(page).locator('time').first();
  await time.waitFor();
  t.equal(await time.innerText(), clock('Asia/Kolkata'));
  t.match(await time.getAttribute('title'), 'UTC+5:30');
  await page.getByRole('columnheader', { name: 'Started, UTC+5:30' }).waitFor();
  await page.getByLabel('Time zone').selectOption('utc');
  await page.getByRole('columnheader', { name: 'Started, UTC', exact: true }).waitFor();
  t.equal(await time.innerText(), clock('UTC'));
  await page.locator('.disclosure').first().click();
  t.match(await page.locator('.timeline li time').first().innerText(), clock('UTC'));
  t.match(await page.locator('.timeline .facts').innerText(), /\d UTC/);
  await page.reload();
  await page.getByRole('columnheader', { name: 'Started, UTC', exact: true }).waitFor();
  t.equal(await page.getByLabel('Time zone').inputValue(), 'utc', 'kept');
}

async function copying(browser: Browser, { restUrl }: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, restUrl, 'operations?search=quota', {
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  const copied = (): Promise<string> => page.evaluate('navigator.clipboard.readText()');
  await page.locator('.disclosure').first().click();
  for (const [what, text] of [
    ['account name', 'sim-5-0'],
    ['message', 'quota exceeded: pods'],
  ] as const) {
    await page.getByRole('button', { name: `Copy the ${what}` }).click();
    await waitFor(async () => (await copied()) === text);
  }
  await page.getByRole('status').getByText('Copied').waitFor();
}

async function narrow(t: Test, browser: Browser, { restUrl }: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, restUrl, 'operations?outcome=failed', phone);
  const row = rows(page).filter({ hasText: 'sim-46-0' });
  await row.waitFor();
  for (const part of [row.locator('.badge'), row.locator('.error'), row.getByRole('link', { name: 'sim-46-0' })]) {
    const box = await part.boundingBox();
    t.ok(box !== null && box.x >= 0 && box.x + box.width <= 390, JSON.stringify(box));
  }
  t.match(await row.locator('.error').innerText(), message, 'all of it');
  for (const view of ['', 'agents', 'accounts', 'operations', 'account/sim-46-0', 'agent/sim-agent-46', 'dynamic']) {
    await page.evaluate(`location.hash = '#/${view}'`);
    await page.locator('main').waitFor();
    t.ok((await page.evaluate<number>('document.documentElement.scrollWidth')) <= 390, view);
  }
}

async function stale(t: Test, browser: Browser, gateway: RunningGateway): Promise<void> {
  const { page } = await openConsole(browser, gateway.restUrl);
  const colour = (): Promise<string> =>
    page.evaluate(`getComputedStyle(document.querySelector('.summary .value')).color`);
  const before = await colour();
  await gateway.gateway.stop();
  const notice = page.getByRole('alert').filter({ hasText: 'Connection lost' });
  await notice.waitFor();
  t.match(await notice.innerText(), /Everything below is as of \d\d:\d\d:\d\d UTC/);
  t.not(await colour(), before);
  t.equal(await page.evaluate(`getComputedStyle(document.querySelector('main section')).filter`), 'grayscale(1)');
}
