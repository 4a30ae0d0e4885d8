/** Sessions of TLS are resumed at every instance that shares a secret, and judged as new ones are. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type SecureVersion } from 'node:tls';
import { test, type Test } from 'tap';
import { ticketKeys } from '../../../src/gateway/tls/ticket-keys.js';
import type { TlsMaterial } from '../../../src/gateway/tls/material.js';
import { waitFor } from '../../wait.js';
import { startGateway, type RunningGateway } from '../running-gateway.js';
import { Authority } from '../security/authority.js';

const hourMs = 3_600_000;

function material(more: Partial<TlsMaterial> = {}): TlsMaterial {
  const [cert, key] = [Buffer.from('cert'), Buffer.from('key')];
  return {
    cert,
    key,
    requestCert: false,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ...more,
  };
}

test('keys are the same at the same time, and change with all that matters', (t) => {
  const at = (now: number, secret = 'a'.repeat(40)) => ({ now: () => now, secret: () => Buffer.from(secret) });
  const now = 100 * 4 * hourMs;
  const keys = ticketKeys(at(now), 'rest', material());
  t.equal(keys.length, 48);
  const same = (other: Buffer): boolean => other.equals(keys);
  t.ok(same(ticketKeys(at(now + 4 * hourMs - 1), 'rest', material())), 'for hours');
  t.ok(same(ticketKeys(at(now), 'rest', material({ cert: Buffer.from('of another instance') }))));
  t.notOk(same(ticketKeys(at(now + 4 * hourMs), 'rest', material())), 'then others');
  t.notOk(same(ticketKeys(at(now, 'b'.repeat(40)), 'rest', material())), 'of another secret');
  t.notOk(same(ticketKeys(at(now), 'agents', material())), 'of the other port');
  const trusts = [
    { ca: Buffer.from('x') },
    { crl: Buffer.from('x') },
    { requestCert: true },
    { rejectUnauthorized: true },
  ];
  for (const trust of trusts) t.notOk(same(ticketKeys(at(now), 'rest', material(trust))), JSON.stringify(trust));
  t.end();
});

interface Visit {
  readonly reused: boolean;
  readonly session: Buffer;
  /** Of the answer. */
  readonly status: number;
}

/** Sends one request on a new connection. */
function visit(port: number, version: SecureVersion, session?: Buffer, credentials: object = {}): Promise<Visit> {
  return new Promise((resolve, reject) => {
    const versions = { minVersion: version, maxVersion: version };
    const reusing = session === undefined ? {} : { session };
    const socket = connect({
      host: '127.0.0.1',
      port,
      rejectUnauthorized: false,
      ...versions,
      ...reusing,
      ...credentials,
    });
    let text = '';
    let ticket: Buffer = Buffer.alloc(0);
    socket.on('session', (given: Buffer) => (ticket = given));
    socket.on('secureConnect', () => {
      const reused = socket.isSessionReused();
      socket.on('end', () => {
        const status = Number(/^HTTP\/1.1 (\d+)/u.exec(text)?.[1] ?? 0);
        // With TLS 1.2 a client goes on with the ticket that it has.
        resolve({ reused, session: ticket.length > 0 ? ticket : (session ?? ticket), status });
      });
      socket.write('GET /armory/clouddrivers HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    });
    socket.on('data', (data: Buffer) => (text += data.toString('latin1')));
    socket.on('error', reject);
    socket.setTimeout(60_000, () => socket.destroy(new Error('no answer')));
  });
}

interface Pair {
  readonly one: RunningGateway;
  readonly other: RunningGateway;
  readonly secretFile: string;
  readonly authority: Authority;
}

/** Two gateways; for sessions it does not matter that they are not of one cluster. */
async function pair(t: Test, shared: boolean, more: Record<string, string | boolean> = {}): Promise<Pair> {
  const authority = new Authority(t);
  const secretFile = authority.path('secret');
  writeFileSync(secretFile, 's'.repeat(40));
  const start = (id: string): Promise<RunningGateway> => {
    const server = authority.issue({ subject: `/CN=${id}`, alternativeNames: 'IP:127.0.0.1' });
    return startGateway(t, {
      'instance.id': id,
      'server.ssl.enabled': true,
      'server.ssl.certificateChain': server.certificate,
      'server.ssl.privateKey': server.key,
      'server.ssl.trustCertCollection': authority.certificate,
      ...(shared ? { 'server.auth.instances.secretFile': secretFile } : {}),
      ...more,
    });
  };
  return { one: await start('one'), other: await start('other'), secretFile, authority };
}

test('a session of one instance is resumed by the other', async (t) => {
  const { one, other, secretFile } = await pair(t, true);
  const { session: stale } = await visit(one.restPort, 'TLSv1.3');
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const first = await visit(one.restPort, version);
    t.equal(first.reused, false);
    const second = await visit(other.restPort, version, first.session);
    t.match(second, { reused: true, status: 200 }, version);
    t.match(await visit(one.restPort, version, second.session), { reused: true }, 'and back');
  }
  writeFileSync(secretFile, 't'.repeat(40));
  for (const { restPort } of [one, other])
    await waitFor(async () => !(await visit(restPort, 'TLSv1.3', stale)).reused, {
      intervalMs: 500,
      description: 'another key',
    });
  const { session } = await visit(one.restPort, 'TLSv1.3');
  t.match(await visit(other.restPort, 'TLSv1.3', session), { reused: true, status: 200 }, 'with the next key');
});

test('without a shared secret', async (t) => {
  const { one, other } = await pair(t, false);
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const { session } = await visit(one.restPort, version);
    t.match(await visit(other.restPort, version, session), { reused: false, status: 200 }, 'a whole handshake');
    t.match(await visit(one.restPort, version, session), { reused: true, status: 200 }, 'at the same instance');
  }
});

test('who a caller is goes with its session', async (t) => {
  const directory = t.testdir({ 'policy.yml': "callers: [{name: kim, match: ['CN=kim'], role: read}]" });
  const { one, other, authority } = await pair(t, true, {
    'server.ssl.clientAuth': 'OPTIONAL',
    'server.auth.x509.enabled': true,
    'server.auth.policyFile': join(directory, 'policy.yml'),
  });
  const issued = authority.issue({ subject: '/CN=kim' });
  const kim = { cert: authority.read(issued.certificate), key: authority.read(issued.key) };
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const first = await visit(one.restPort, version, undefined, kim);
    t.equal(first.status, 200);
    t.match(await visit(other.restPort, version, first.session), { reused: true, status: 200 }, version);
    const nobody = await visit(one.restPort, version);
    t.match(await visit(other.restPort, version, nobody.session), { reused: true, status: 401 }, 'and who is not');
  }
});
