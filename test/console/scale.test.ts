/** The console with 10,000 agents, 40,000 accounts and 1,000,000 rows of history: what is read, sent and shown stays small. */

import { createConnection, type RowDataPacket } from 'mysql2/promise';
import type { Browser, Page } from 'playwright-core';
import { test, type Test } from 'tap';
import type { Database } from '../../src/store/sql/database.js';
import { gatewayId, startGateway, type RunningGateway } from '../gateway/running-gateway.js';
import { mariaDbDatabase } from '../services/databases.js';
import { waitFor } from '../wait.js';
import { noBrowser, startBrowser } from './browser.js';
import { openTestDatabase, writeFleet } from './fleet.js';

const agents = 10_000;
const accountsEach = 4;
const history = 1_000_000;
/**
 * What a quiet machine with two cores keeps to by far (docs/console.md has what was measured): a first paint within 1 s, and no
 * task longer than 200 ms. A machine that runs other tests at the same time may need this many times as long.
 */
const patience = 5;
const firstPaintMs = 1_000 * patience;
const longestTaskMs = 200 * patience;

test('10,000 agents and 1,000,000 operations', { skip: noBrowser }, async (t) => {
  const { url } = await mariaDbDatabase(t);
  const gateway = await startGateway(t, { 'sql.url': url });
  const database = openTestDatabase(t, url);
  const fleet = Array.from({ length: agents }, (_, agent) => ({
    agentId: `agent-${String(agent).padStart(5, '0')}`,
    accounts: Array.from({ length: accountsEach }, (_, account) => `account-${String(agent)}-${String(account)}`),
  }));
  await writeFleet(database, gatewayId, fleet);
  await writeHistory(url);
  const browser = await startBrowser(t);
  await t.test('agents and accounts', (t) => throughFleet(t, browser, gateway, database));
  await t.test('history', (t) => throughHistory(t, browser, gateway));
});

async function throughFleet(t: Test, browser: Browser, { restUrl }: RunningGateway, database: Database): Promise<void> {
  const { page, complaints } = await openMeasured(t, browser, restUrl, 'agents');
  await page.getByText('10,000 agents', { exact: true }).waitFor();
  t.equal(await page.locator('tbody tr').count(), 50, 'a page has 50 rows, whatever there is');

  // The longest of a few, typed text included: 200 ms of it is waiting for the typing to end.
  const search = page.getByRole('searchbox', { name: 'Search' });
  let longest = 0;
  for (const number of [17, 4_711, 9_999]) {
    const start = performance.now();
    await search.fill(`account-${String(number)}-`);
    await page.getByText('1 agent', { exact: true }).waitFor();
    await page.getByRole('rowheader', { name: `agent-${String(number).padStart(5, '0')}` }).waitFor();
    longest = Math.max(longest, performance.now() - start);
  }
  t.ok(longest < 3_000, `a search took ${longest.toFixed(0)} ms at most`);
  t.comment(`longest search: ${longest.toFixed(0)} ms`);

  await page.evaluate(`location.hash = '#/accounts?page=799'`);
  await page.getByText('Page 800 of 800').waitFor();
  await page.getByText('40,000 accounts', { exact: true }).waitFor();
  const text = await (await fetch(`${restUrl}/console/data/agents`)).text();
  t.ok(text.length < 32_000, `${String(text.length)} bytes for a page`);

  await writeFleet(database, gatewayId, [{ agentId: 'one-more', accounts: ['its-account'] }]);
  await page.evaluate(`location.hash = '#/agents?search=one-more'`);
  await page.getByRole('rowheader', { name: 'one-more' }).waitFor();
  await waitFor(async () => (await page.getByRole('link', { name: /^Agents 10,001/ }).count()) === 1);
  await fluid(t, page);
  t.same(complaints, []);
}

async function throughHistory(t: Test, browser: Browser, { restUrl }: RunningGateway): Promise<void> {
  const { page, complaints } = await openMeasured(t, browser, restUrl, 'operations');
  const rows = page.locator('tbody tr:not(.details)');
  await waitFor(async () => (await rows.count()) === 50);
  let longest = 0;
  for (const [view, text] of [
    ['operations?outcome=failures', 'timed out'],
    ['operations?account=account-4711-3', 'account-4711-3'],
    ['operations?search=4711-', 'account-4711-'],
    ['operations?outcome=failed,timed out&namespace=shop', 'shop/'],
    ['', 'did not complete'],
  ] as const) {
    const start = performance.now();
    const answered = page.waitForResponse((response) => response.url().includes('/console/data/operations'));
    await page.evaluate(`location.hash = '#/${view}'`);
    await answered;
    await page.locator('main :is(td, th, figcaption)').getByText(text).first().waitFor();
    longest = Math.max(longest, performance.now() - start);
    t.comment(`${view || 'overview'}: ${(performance.now() - start).toFixed(0)} ms`);
  }
  await page.evaluate(`location.hash = '#/operations'`);
  for (let pages = 0; pages < 3; pages += 1) {
    const first = await rows.first().innerText();
    await page.getByRole('link', { name: 'Older' }).click();
    await waitFor(async () => (await rows.first().innerText()) !== first);
  }
  t.equal(await rows.count(), 50);
  await rows.nth(20).locator('td.number').click();
  await page.locator('.timeline').waitFor();
  await fluid(t, page);
  t.same(complaints, []);
}

/** Opens a view, and has the browser keep account of what makes it stutter. */
async function openMeasured(t: Test, browser: Browser, restUrl: string, view: string) {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 860 } })).newPage();
  page.setDefaultTimeout(60_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.addInitScript(`
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map(({ duration }) => duration)))
      .observe({ type: 'longtask', buffered: true });`);
  const start = performance.now();
  await page.goto(`${restUrl}/console#/${view}`);
  await page.locator('tbody tr').first().waitFor();
  t.comment(`${view}: the first row after ${(performance.now() - start).toFixed(0)} ms`);
  return { page, complaints };
}

async function fluid(t: Test, page: Page): Promise<void> {
  const firstPaint = await page.evaluate<number>(`performance.getEntriesByName('first-contentful-paint')[0].startTime`);
  const longestTask = await page.evaluate<number>('Math.max(0, ...window.longTasks)');
  t.comment(`first paint after ${firstPaint.toFixed(0)} ms, longest task ${longestTask.toFixed(0)} ms`);
  t.ok(firstPaint < firstPaintMs, `first paint after ${firstPaint.toFixed(0)} ms`);
  t.ok(longestTask < longestTaskMs, `longest task ${longestTask.toFixed(0)} ms`);
}

interface Index extends RowDataPacket {
  readonly name: string;
  readonly columns: string;
}

/** A million ended operations, ten per second; one in fifty did not complete. Indexes are made afterwards, which is faster. */
async function writeHistory(url: string): Promise<void> {
  // The gateway's own connections give up sooner.
  const connection = await createConnection(url);
  const [indexes] = await connection.query<Index[]>(`
    select index_name as name, group_concat(column_name order by seq_in_index) as columns
    from information_schema.statistics
    where table_schema = database() and table_name = 'kubesvc_ops_history' and index_name <> 'PRIMARY'
    group by index_name`);
  const alter = (parts: readonly string[]) => connection.query(`alter table kubesvc_ops_history ${parts.join(', ')}`);
  await alter(indexes.map(({ name }) => `drop index ${name}`));
  await connection.query(
    `insert into kubesvc_ops_history (operation_id, account, operation_type, start_time, end_time, total_duration_ms,
       final_outcome, received_by_cd_id, received_by_cd_time, sent_to_agent_id, sent_to_agent_time, error_message,
       caller, api_group, kind, resource, namespace, object_name)
     select concat('01', lpad(seq, 24, '0')), concat('account-', seq % 10000, '-', seq % 4), 'scale', t, t + 90, 90,
       if(seq % 100 = 0, 'timed out', if(seq % 50 = 0, 'failed', 'completed')), ?, t,
       concat('agent-', lpad(seq % 10000, 5, '0')), t + 2, if(seq % 50 = 0, 'no result after 30000 ms', null),
       'policy:deployers', 'apps', 'Deployment', 'deployments', if(seq % 3 = 0, 'shop', 'web'), concat('app-', seq % 500)
     from (select seq, ? - (? - seq) * 100 as t from seq_1_to_${String(history)}) s`,
    [gatewayId, Date.now(), history],
  );
  await alter(indexes.map(({ name, columns }) => `add index ${name} (${columns})`));
  await connection.end();
}
