/** What `doctor` says of the ports. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { test, type Test } from 'tap';
import { examinePorts, listenError, portOutcome } from '../../src/commands/doctor/ports.js';
import { freePort } from '../free-port.js';
import { brief, collect, configured } from './configured.js';

const { signal } = new AbortController();

/** Answers every request with `body`. */
async function answering(t: Test, body: string): Promise<number> {
  const server = createServer((_request, response) => response.end(body));
  const port = await freePort();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return port;
}

function flagsFor(rest: number, agents: number): string[] {
  const address = '--kubesvc.grpc.server.address=127.0.0.1';
  return [
    '--instance.id=gateway-1',
    address,
    `--server.port=${String(rest)}`,
    `--kubesvc.grpc.server.port=${String(agents)}`,
  ];
}

test('free ports are free, and still are afterwards', async (t) => {
  const [rest, agents] = [await freePort(), await freePort()];
  const findings = await collect(examinePorts(configured(...flagsFor(rest, agents)), signal));
  t.same(brief(findings), [`ok port ${String(rest)}`, `ok port ${String(agents)}`]);
  t.equal(await listenError('127.0.0.1', rest), undefined);
});

test('who holds a port is told apart', async (t) => {
  const agents = await answering(t, '');
  for (const [body, status, found] of [
    ['{"id":"gateway-1","status":"ready"}', 'ok', /in use while this gateway \(gateway-1\) runs$/],
    ['{"id":"gateway-2","status":"ready"}', 'warning', /in use while another gateway \(gateway-2\) runs here$/],
    ['{}', 'failed', /in use by something else$/],
    ['<html>', 'failed', /in use by something else$/],
  ] as const) {
    const rest = await answering(t, body);
    const findings = await collect(examinePorts(configured(...flagsFor(rest, agents)), signal));
    t.same(
      findings.map((finding) => finding.status),
      [status, status],
      body,
    );
    for (const finding of findings) t.match(finding.found, found);
  }
});

test('an address that is not of this machine', async (t) => {
  const error = await listenError('192.0.2.1', 0);
  t.equal(error, 'EADDRNOTAVAIL');
  t.match(portOutcome({ key: 'server.port', address: '192.0.2.1', port: 1, error, self: 'x' }), {
    status: 'failed',
    remedy: 'Correct server.address.',
  });
});

test('a port that takes a privilege, and anything else', (t) => {
  const state = { key: 'server.port', address: '*', port: 80, self: 'x' };
  t.match(portOutcome({ ...state, error: 'EACCES' }), { status: 'failed', remedy: /below 1024/ });
  t.match(portOutcome({ ...state, error: 'EMFILE' }), {
    status: 'failed',
    found: 'cannot listen on *:80 (EMFILE)',
  });
  t.end();
});
