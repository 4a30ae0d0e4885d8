/** What `doctor` says of Clouddriver and of the tokens that it gets. */

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { examineSpinnaker, pollerOutcome, storeOutcome } from '../../src/commands/doctor/spinnaker.js';
import { freePort } from '../free-port.js';
import { CredentialsDouble } from '../gateway/spinnaker/credentials-double.js';
import { startGateway } from '../gateway/running-gateway.js';
import { brief, collect, configured } from './configured.js';

const { signal } = new AbortController();

function secretFile(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'agent-gateway-doctor-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, 'secrets'), randomBytes(48).toString('base64'));
  return join(directory, 'secrets');
}

test('without accounts for Spinnaker there is nothing to say', async (t) => {
  t.same(await collect(examineSpinnaker(configured(), signal)), []);
});

test('a Clouddriver that is ready, without account store, away; no gateway yet', async (t) => {
  const double = await new CredentialsDouble().start();
  t.teardown(() => double.stop());
  const config = (url: string) =>
    configured(
      `--spinnaker.tokens.secretFile=${secretFile(t)}`,
      `--spinnaker.clouddriver.url=${url}`,
      `--kubesvc.kubernetesApi.publicUrl=https://127.0.0.1:${String(port)}`,
    );
  const port = await freePort();
  double.put({ name: 'a', type: 'kubernetes' });
  const ready = await collect(examineSpinnaker(config(double.url), signal));
  t.same(brief(ready), [
    'ok clouddriver',
    'ok clouddriver account store',
    'ok clouddriver poller',
    'warning spinnaker token',
  ]);
  t.match(ready[3]?.remedy, /before the gateway runs/u);
  t.same(double.writes, [], 'nothing is written');

  double.storage = false;
  const off = await collect(examineSpinnaker(config(double.url), signal));
  t.match(off[1], { status: 'failed', found: /off/u, remedy: /account\.storage\.enabled/u });
  await double.stop();
  const away = await collect(examineSpinnaker(config(double.url.replace('//', '//user:hunter2@')), signal));
  t.match(away[0], { status: 'failed', found: /connection refused/u, remedy: /spinnaker\.clouddriver\.url/u });
  t.notMatch(JSON.stringify(away), /hunter2/u);
});

test('a port without TLS is told: kubectl sends no token there', async (t) => {
  const gateway = await startGateway(t);
  const found = await collect(
    examineSpinnaker(
      configured(
        `--spinnaker.tokens.secretFile=${secretFile(t)}`,
        `--kubesvc.kubernetesApi.publicUrl=${gateway.restUrl.replace('http:', 'https:')}`,
      ),
      signal,
    ),
  );
  t.match(found, [{ status: 'failed', found: /does not speak TLS/u, remedy: /server\.ssl\.enabled/u }]);
});

test('account store and poller', (t) => {
  t.equal(storeOutcome({ status: 404, text: '' }).status, 'failed');
  t.match(storeOutcome({ status: 500, text: '{"message":"no memory"}' }), { found: /no memory/u });
  t.match(pollerOutcome([], []), { status: 'ok', found: /cannot be seen/u });
  t.match(pollerOutcome(['a'], ['b']), { status: 'failed', remedy: /credentials\.poller\.enabled/u });
  t.match(pollerOutcome(['a', 'b'], ['b']), { status: 'warning', found: /1 of 2.*: a$/u });
  t.equal(pollerOutcome(['a', 'b'], ['b', 'a', 'c']).status, 'ok');
  t.end();
});
