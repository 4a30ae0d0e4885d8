/** The console where callers must authenticate: it asks for a token, and keeps it in its tab only. */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'tap';
import { startGateway } from '../gateway/running-gateway.js';
import { noBrowser, startBrowser, violations } from './browser.js';

test('signing in to the console', { skip: noBrowser }, async (t) => {
  const directory = t.testdir({
    'tokens.yml': `tokens: [{name: me, sha256: ${createHash('sha256').update('word').digest('hex')}}]`,
    'policy.yml': "callers: [{name: me, match: ['token:me'], role: read}]",
  });
  const gateway = await startGateway(t, {
    'server.auth.tokens.file': join(directory, 'tokens.yml'),
    'server.auth.policyFile': join(directory, 'policy.yml'),
  });
  const browser = await startBrowser(t);
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  await page.goto(`${gateway.restUrl}/console`);
  await page.getByText('no credentials').waitFor();
  await page.getByText('not signed in', { exact: true }).waitFor();
  t.equal(await page.getByText('connection lost').count(), 0, 'the replica is there, and wants a token');
  t.equal(await page.evaluate(`getComputedStyle(document.querySelector('.sign-in h2')).fontSize`), '19px');
  t.same(await violations(page), [], 'accessible');
  await page.getByLabel('Token').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('token refused').waitFor();
  await page.getByLabel('Token').fill('word');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('live', { exact: true }).waitFor();
  await page.getByText('Replicas ready').waitFor();
  await page.reload();
  await page.getByText('live', { exact: true }).waitFor();
  t.equal(await page.evaluate('localStorage.getItem("token")'), null);
  const other = await (await browser.newContext()).newPage();
  await other.goto(`${gateway.restUrl}/console`);
  await other.getByText('no credentials').waitFor();
});
