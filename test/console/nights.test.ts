/**
 * What the engineer on call sees at 3 a.m., on the first screen and without a click, on a desktop and on a telephone: which
 * cluster, since when, and why. With `--screenshots` (npm run screenshots) it writes the pictures of docs/console.md.
 */

import { createConnection } from 'mysql2/promise';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { test, type Test } from 'tap';
import { OperationStore } from '../../src/store/operations/operations.js';
import { startCluster, type Cluster } from '../cluster/cluster.js';
import { Replica } from '../cluster/replica.js';
import { RawAgent } from '../gateway/raw-agent.js';
import { startTcpProxy } from '../tcp-proxy.js';
import { waitFor } from '../wait.js';
import { noBrowser, openConsole, startBrowser, takePicture } from './browser.js';
import { openTestDatabase, writeFleet } from './fleet.js';
import { endedOperation } from './history.js';

const minute = 60_000;
const screens: Readonly<Record<string, BrowserContextOptions>> = {
  '': { viewport: { width: 1280, height: 860 } },
  '-phone': { viewport: { width: 390, height: 844 } },
};
/** "18:03:12 (4 min)". */
const sinceWhen = /\d\d:\d\d:\d\d \((?:just now|\d+ (?:s|min))\)/;

test('nights', { skip: noBrowser }, async (t) => {
  const cluster = await startCluster(t);
  const [first, second, third] = cluster.replicas as readonly [Replica, Replica, Replica];
  await fill(t, cluster);
  const browser = await startBrowser(t);
  const night = (name: string, subject: string, texts: readonly (string | RegExp)[], colorScheme?: 'dark') =>
    see(t, browser, first.restUrl, { name, subject, texts, ...(colorScheme === undefined ? {} : { colorScheme }) });

  await t.test('all is well', async () => {
    const { page } = await openConsole(browser, first.restUrl);
    await page.getByText('All is well').waitFor();
  });

  await t.test('an agent is gone', async () => {
    const registration = {
      agentId: 'spin-agent-us-east-2-5c9f7d-h2kq8',
      zoneId: 'spin-agent_us-east-2',
      accounts: [{ name: 'prod-us-east-2-checkout' }, { name: 'prod-us-east-2-search' }],
    };
    const network = await startTcpProxy({ port: Number(second.agentsAddress.split(':')[1]) });
    t.teardown(() => network.close());
    await RawAgent.register(t, `127.0.0.1:${String(network.port)}`, registration);
    await network.cut();
    await night('agent-gone', `Agent ${registration.agentId}`, [
      ...['prod-us-east-2-checkout', 'prod-us-east-2-search', 'offline', 'connection lost', 'last seen at gateway-1'],
      sinceWhen,
    ]);
    await RawAgent.register(t, second.agentsAddress, registration);
  });

  await t.test('everything times out in an account', async () => {
    const account = 'prod-eu-west-1-payments';
    const agentId = 'spin-agent-eu-west-1-7b6d4f-x9zqt';
    await RawAgent.register(t, second.agentsAddress, { agentId, accounts: [{ name: account }] });
    const object = { kind: 'Deployment', namespace: 'shop', name: 'web' };
    for (let index = 0; index < 7; index += 1) {
      await first.operate({ account, timeoutMs: 200, scale: { object, replicas: index } });
    }
    await night('timeouts', `Account ${account}`, [
      ...['failing', '7 in 15 min', 'timed out', 'had no result after 200 ms'],
      sinceWhen,
    ]);
  });

  await t.test('a replica is killed', async () => {
    await third.end('SIGKILL');
    await night('replica-killed', `Replica ${third.id}`, ['lost', 'it was killed, hangs', sinceWhen], 'dark');
    const again = await Replica.spawn({ id: third.id, settings: cluster.settings });
    t.teardown(() => again.end());
    await again.ready();
  });

  await t.test('the database is full', async () => {
    await fillDatabase(String(cluster.settings['sql.url']));
    await night('database-full', `Replicas ${first.id}`, [third.id, 'not ready', 'its disk is full', sinceWhen]);
  });
});

interface Night {
  readonly name: string;
  /** Names the row. */
  readonly subject: string;
  /** What the row says. */
  readonly texts: readonly (string | RegExp)[];
  readonly colorScheme?: 'dark';
}

/** Opens the console, touches nothing, and reads. */
async function see(t: Test, browser: Browser, restUrl: string, { name, subject, texts, colorScheme }: Night) {
  for (const [suffix, screen] of Object.entries(screens)) {
    const { page } = await openConsole(browser, restUrl, '', { ...screen, ...(colorScheme && { colorScheme }) });
    const row = page.getByRole('region', { name: 'Needs attention' }).locator('tbody tr').filter({ hasText: subject });
    // It is read every few seconds.
    const lacks = async (): Promise<(string | RegExp)[]> => {
      const said = (await row.count()) === 1 ? (await row.innerText()).replaceAll(/\s+/g, ' ') : '';
      return texts.filter((text) => (typeof text === 'string' ? !said.includes(text) : !text.test(said)));
    };
    await waitFor(async () => (await lacks()).length === 0, { description: `${name}${suffix}: ${texts.join(', ')}` });
    await fitsOnScreen(t, page, `${name}${suffix}`, subject);
    await takePicture(t, page, `night-${name}${suffix}`);
    await page.context().close();
  }
}

/** The row is on the screen as a whole, and no text in it is cut off. */
async function fitsOnScreen(t: Test, page: Page, name: string, subject: string): Promise<void> {
  const row = page.getByRole('region', { name: 'Needs attention' }).locator('tbody tr').filter({ hasText: subject });
  const box = await row.boundingBox();
  const { width = 0, height = 0 } = page.viewportSize() ?? {};
  t.ok(
    box !== null && box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height,
    `${name}: ${JSON.stringify(box)} on ${String(width)} x ${String(height)}`,
  );
}

/** Agents that are quiet, and an hour of operations that completed. */
async function fill(t: Test, { replicas, settings }: Cluster): Promise<void> {
  const database = openTestDatabase(t, String(settings['sql.url']));
  const regions = ['eu-west-1', 'eu-north-1', 'us-east-2', 'ap-south-1'];
  for (const [index, { id }] of replicas.entries()) {
    const agents = Array.from({ length: 12 }, (_, number) => {
      const base = `stage-${regions[number % 4] ?? ''}-${String(index)}${String(number).padStart(2, '0')}`;
      return { agentId: `spin-agent-${base}`, accounts: [base] };
    });
    await writeFleet(database, id, agents);
  }
  const now = Date.now();
  const records = Array.from({ length: 900 }, (_, index) =>
    endedOperation({
      startTime: now - Math.floor((index / 900) ** 1.2 * 58 * minute) - 20_000,
      account: `stage-${regions[index % 4] ?? ''}-0${String(index % 12).padStart(2, '0')}`,
    }),
  );
  await new OperationStore(database).note(records);
}

/** As a full table space: what is there can be read, and nothing be written. */
async function fillDatabase(url: string): Promise<void> {
  const connection = await createConnection(url);
  for (const table of ['kubesvc_ops', 'kubesvc_ops_history', 'kubesvc_instances', 'kubesvc_agents']) {
    for (const event of ['insert', 'update']) {
      await connection.query(
        `create trigger full_${table}_${event} before ${event} on ${table} for each row
         signal sqlstate 'HY000' set mysql_errno = 1114, message_text = 'The table ''${table}'' is full'`,
      );
    }
  }
  await connection.end();
}
