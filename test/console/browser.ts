/** A headless Chromium for tests of the console. */

import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import type { Test } from 'tap';

const executablePath = '/usr/bin/chromium';

/** Why tests in a browser are skipped; false: they are not. */
export const noBrowser: string | false = existsSync(executablePath)
  ? false
  : `Debian's package chromium is not installed (${executablePath})`;

export async function startBrowser(t: Test): Promise<Browser> {
  // Its sandbox does not work as root, and nothing but our own page is loaded.
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  t.teardown(() => browser.close());
  return browser;
}

export interface ConsolePage {
  readonly page: Page;
  /** What the browser complained about: errors, refused content, requests to other sites. */
  readonly complaints: string[];
}

/** Opens a view of the console, `agents?search=a` for example, and waits until it is live. */
export async function openConsole(
  browser: Browser,
  restUrl: string,
  view = '',
  options: BrowserContextOptions = {},
): Promise<ConsolePage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(`${restUrl}/`)) complaints.push(`asks another site: ${request.url()}`);
  });
  await page.goto(`${restUrl}/console#/${view}`);
  await page.getByText('live', { exact: true }).waitFor();
  return { page, complaints };
}

/** What axe finds on the page: rule, impact, and the first elements. The page must have been opened with `bypassCSP`. */
export async function violations(page: Page): Promise<unknown> {
  // Only here: axe is not a part of the page.
  if (!(await page.evaluate<boolean>(`'axe' in window`))) {
    const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
    await page.addScriptTag({ content: await readFile(axe, 'utf8') });
  }
  return page.evaluate(
    `axe.run().then(({ violations }) => violations.map(({ id, impact, nodes }) => [id, impact, nodes.map(({ target }) => target.join(' ')).slice(0, 3)]))`,
  );
}

const pictures = new URL('../../docs/images/', import.meta.url);

/** Takes a picture of what is on the screen; with `--screenshots` it is kept, for docs/console.md. */
export async function takePicture(t: Test, page: Page, name: string): Promise<void> {
  const picture = await page.screenshot();
  t.ok(picture.length > 10_000 && picture.length < 250_000, `${name}: ${String(picture.length)} bytes`);
  if (!process.argv.includes('--screenshots')) return;
  await mkdir(pictures, { recursive: true });
  await writeFile(new URL(`console-${name}.png`, pictures), picture);
}
