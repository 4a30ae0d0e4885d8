/** Credentials of clients that live long: asked for once for all who wait, again when they expire or are refused. */

import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { ApiClient } from '../../src/kubernetes/client.js';
import { RenewedAccess } from '../../src/kubernetes/renewed-access.js';
import { waitFor } from '../wait.js';
import { kubeconfigOf, startRecordingServer } from './recording-server.js';

const never = new AbortController().signal;
const apiVersion = 'client.authentication.k8s.io/v1';

/** A plugin that counts its runs, and gives token-1, token-2 ... */
async function start(t: Test, user: object, status: object = {}) {
  const api = await startRecordingServer(t);
  const directory = t.testdir({});
  const credential = JSON.stringify({ kind: 'ExecCredential', apiVersion, status: { token: 'token-N', ...status } });
  const script = `#!/bin/sh\necho >> "$0.runs"\nsleep 0.2\nn=$(wc -l < "$0.runs")\necho '${credential}' | sed "s/N/$n/"\n`;
  writeFileSync(join(directory, 'plugin'), script, { mode: 0o755 });
  appendFileSync(join(directory, 'plugin.runs'), '');
  const cluster = { server: `https://127.0.0.1:${String(api.port)}`, 'insecure-skip-tls-verify': true };
  writeFileSync(join(directory, 'config'), kubeconfigOf(cluster, user));
  const clock = { now: Date.parse('2026-01-01T00:00:00Z') };
  const environment = { PATH: process.env['PATH'] };
  const access = new RenewedAccess({ kubeconfigFile: join(directory, 'config'), environment }, () => clock.now);
  t.teardown(() => access.close());
  const client = new ApiClient(access, 20_000);
  return {
    ...{ api, clock, access },
    ask: (signal = never) => client.get('/version', {}, signal),
    runs: () => readFileSync(join(directory, 'plugin.runs'), 'utf8').length,
    token: () => api.requests.at(-1)?.authorization,
  };
}

const exec = { exec: { apiVersion, command: './plugin', interactiveMode: 'Never' } };

test('a plugin runs once for all who wait, until its credential expires', async (t) => {
  const { ask, runs, token, clock, api } = await start(t, exec, { expirationTimestamp: '2026-01-01T01:00:00Z' });
  await Promise.all(Array.from({ length: 20 }, () => ask()));
  t.equal(runs(), 1);
  t.ok(api.requests.every(({ authorization }) => authorization === 'Bearer token-1'));
  clock.now += 30 * 60_000;
  await ask();
  await ask();
  t.equal(runs(), 1, 'the kubeconfig is read again, the plugin does not run');
  clock.now += 31 * 60_000;
  await ask();
  t.equal(token(), 'Bearer token-2');
});

test('a plugin runs again when the API server refuses its credential, once', async (t) => {
  const { ask, runs, token, clock, api } = await start(t, exec);
  await ask();
  clock.now += 3_000;
  api.status = 401;
  const refused = await Promise.allSettled(Array.from({ length: 10 }, () => ask()));
  t.ok(refused.every(({ status }) => status === 'rejected'));
  api.status = 200;
  await ask();
  t.equal(token(), 'Bearer token-2');
  t.equal(runs(), 2);
});

test('who stops to wait harms nobody, and close() ends all', async (t) => {
  const { ask, runs, access } = await start(t, exec);
  const impatient = new AbortController();
  const waiting = [ask(impatient.signal), ask()];
  impatient.abort(new Error('no time'));
  await t.rejects(waiting[0] as Promise<unknown>, { message: 'no time' });
  await waiting[1];
  t.equal(runs(), 1);
  await access.close();
  await t.rejects(ask(), { message: 'the account is no longer served' });
});

test('the old credentials are good while new ones cannot be read', async (t) => {
  const { ask, clock, token, access } = await start(t, { tokenFile: 'token' });
  const file = join(t.testdirName, 'token');
  writeFileSync(file, 'one');
  await ask();
  writeFileSync(file, '');
  clock.now += 6 * 60_000;
  await ask();
  t.equal(token(), 'Bearer one');
  writeFileSync(file, 'two');
  clock.now += 6 * 60_000;
  await waitFor(async () => {
    await ask();
    return token() === 'Bearer two';
  });
  await access.close();
});

test('the auth provider oidc gives its id-token, then a new one', async (t) => {
  const jwt = (name: string, exp: number): string =>
    ['{}', JSON.stringify({ name, exp }), ''].map((part) => Buffer.from(part).toString('base64url')).join('.');
  const asked: string[] = [];
  const issuer = createServer((request, response) => {
    const body: Buffer[] = [];
    request.on('data', (chunk: Buffer) => body.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(body).toString();
      if (request.method === 'GET') response.end(JSON.stringify({ token_endpoint: `${url}/token` }));
      else {
        asked.push(new URLSearchParams(text).get('refresh_token') ?? '');
        const n = String(asked.length);
        response.end(JSON.stringify({ id_token: jwt(n, Date.now() / 1_000 + 3_600), refresh_token: `refresh-${n}` }));
      }
    });
  });
  issuer.listen(0, '127.0.0.1');
  await once(issuer, 'listening');
  t.teardown(() => issuer.close());
  const url = `http://127.0.0.1:${String((issuer.address() as AddressInfo).port)}`;
  const config = { 'idp-issuer-url': url, 'client-id': 'me', 'refresh-token': 'refresh-0' };
  const provider = (more: object) => ({ 'auth-provider': { name: 'oidc', config: { ...config, ...more } } });
  const good = jwt('written', Date.now() / 1_000 + 3_600);
  const first = await start(t, provider({ 'id-token': good }));
  await first.ask();
  t.equal(first.token(), `Bearer ${good}`);
  const second = await start(t, provider({ 'id-token': jwt('old', 1) }));
  await second.ask();
  second.clock.now = Date.now() + 2 * 3_600_000;
  await second.ask();
  t.strictSame(asked, ['refresh-0', 'refresh-1'], 'a refresh token is exchanged for the next one');
});

test('an issuer that answers no object is told in words of ours', async (t) => {
  const answers = ['null', '[]', '{"token_endpoint": 1}', '{"token_endpoint": "URL"}'];
  for (const [index, discovery] of answers.entries()) {
    const issuer = createServer((request, response) =>
      response.end(request.method === 'GET' ? discovery.replace('URL', `${url}/token`) : 'null'),
    );
    issuer.listen(0, '127.0.0.1');
    await once(issuer, 'listening');
    t.teardown(() => issuer.close());
    const url = `http://127.0.0.1:${String((issuer.address() as AddressInfo).port)}`;
    const config = { 'idp-issuer-url': url, 'client-id': 'me', 'refresh-token': 'r' };
    const { ask } = await start(t, { 'auth-provider': { name: 'oidc', config } });
    const message = [/cannot get/, /cannot get/, /names no token_endpoint/, /cannot get a new id-token/][index];
    await t.rejects(ask(), { name: 'GatewayError', code: 'configuration', message });
  }
});
