/** TLS files that change under a running gateway, as Kubernetes changes a mounted Secret: by a symbolic link. */

import { copyFileSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import { test } from 'tap';
import { makeCertificates, type Certificates } from '../../commands/certificates.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway } from '../running-gateway.js';

const section = 'kubesvc.grpc.server.security';

/** What a client of an authority shows: here the server's own pair, which serves for clients too. */
const shown = ({ read, chain, key, authority }: Certificates) => ({
  cert: read(chain),
  key: read(key),
  ca: read(authority),
});

test('new certificates and a new authority are taken, open streams stay, old clients stay out', async (t) => {
  const before = makeCertificates(t);
  const after = makeCertificates(t);
  const mount = (name: string): string => join(before.directory, name);
  const publish = (name: string, { chain, key, authority }: Certificates): void => {
    mkdirSync(mount(name));
    copyFileSync(chain, join(mount(name), 'tls.crt'));
    copyFileSync(key, join(mount(name), 'tls.key'));
    copyFileSync(authority, join(mount(name), 'ca.crt'));
    symlinkSync(name, mount('next'));
    renameSync(mount('next'), mount('..data'));
  };
  publish('first', before);
  const gateway = await startGateway(t, {
    [`${section}.enabled`]: true,
    [`${section}.certificateChain`]: mount('..data/tls.crt'),
    [`${section}.privateKey`]: mount('..data/tls.key'),
    [`${section}.trustCertCollection`]: mount('..data/ca.crt'),
    [`${section}.clientAuth`]: 'REQUIRE',
  });
  const { agentsPort, log, operate } = gateway;
  const metrics = async (): Promise<string> => (await fetch(`${gateway.restUrl}/metrics`)).text();

  /** Whether the gateway speaks HTTP/2 to a client, whether by a resumed session, and the session to resume. */
  const dial = async (
    of: Certificates,
    session?: Buffer,
    trust = of,
  ): Promise<{ served: boolean; resumed: boolean; session: Buffer | undefined }> => {
    let ticket: Buffer | undefined;
    let served = false;
    let ended = false;
    const options = { ...shown(of), ca: shown(trust).ca, servername: 'gateway', ALPNProtocols: ['h2'] };
    const socket: TLSSocket = connect({
      port: agentsPort,
      host: '127.0.0.1',
      ...options,
      ...(session === undefined ? {} : { session }),
    });
    socket.on('session', (given: Buffer) => (ticket = given));
    socket.on('secureConnect', () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'));
    socket.on('data', () => (served = true));
    socket.on('error', () => undefined);
    socket.on('close', () => (ended = true));
    await waitFor(() => served || ended, { description: 'an answer of the port' });
    const resumed = served && socket.isSessionReused();
    socket.destroy();
    return { served, resumed, session: ticket };
  };

  const { cert, key, ca } = shown(before);
  const secure = credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(cert));
  const names = { 'grpc.ssl_target_name_override': 'gateway', 'grpc.default_authority': 'gateway' };
  const agent = new RawAgent(`127.0.0.1:${agentsPort}`, secure, names);
  t.teardown(() => agent.close());
  agent.send({ case: 'register', value: { agentId: 'old', accounts: [{ name: 'a' }] } });
  await agent.next('registered');

  const first = await dial(before);
  t.match(first, { served: true, resumed: false });
  t.match(await dial(before, first.session), { served: true, resumed: true }, 'tickets are given and honoured');
  t.equal((await dial(after, undefined, before)).served, false, 'the new authority is not trusted yet');

  await t.test('files that cannot be used change nothing', async (t) => {
    mkdirSync(mount('broken'));
    for (const file of ['tls.crt', 'tls.key', 'ca.crt']) writeFileSync(join(mount('broken'), file), 'not PEM');
    symlinkSync('broken', mount('next'));
    renameSync(mount('next'), mount('..data'));
    await waitFor(() => log.some(({ msg }) => msg === 'TLS files changed and cannot be used; keeping the old ones'), {
      description: 'the refusal',
    });
    t.match(await metrics(), /tls_renewals_total\{port="agents",outcome="refused"\} [1-9]/u);
    t.equal((await dial(before)).served, true);
  });

  await t.test('the new authority and certificate count for new connections', async (t) => {
    publish('second', after);
    const taken = (): boolean => log.some(({ msg }) => msg === 'TLS files changed; new connections use them');
    await waitFor(taken, { description: 'the new files' });
    t.equal((await dial(after)).served, true);
    t.equal((await dial(before, undefined, after)).served, false, 'a client of the old authority');
    t.equal((await dial(before, first.session, after)).served, false, 'nor by resuming its session');
    t.match(await metrics(), /tls_renewals_total\{port="agents",outcome="taken"\} 1/u);
    const [, expiry] = /certificate_expiry_timestamp_seconds\{port="agents"\} ([\d.e+]+)/u.exec(await metrics()) ?? [];
    const days = (Number(expiry) - Date.now() / 1_000) / 86_400;
    t.ok(days > 89 && days < 91, `expires in ${days} days`);
  });

  await t.test('the stream of before is open and takes operations', async (t) => {
    t.equal(agent.end, undefined);
    const known = agent.all('operation').length;
    const posted = await operate({ account: 'a', get: { object: { kind: 'Pod', name: 'web' } } }, 'wait=0');
    t.equal(posted.status, 202, JSON.stringify(posted.body));
    await waitFor(() => agent.all('operation').length > known, { description: 'the operation' });
  });
});
