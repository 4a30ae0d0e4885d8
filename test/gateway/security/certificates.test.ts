/**
 * Attackers with certificates. Each attack is shown to work on a gateway without the defence, and to be refused with it,
 * while the operations of an honest agent go on.
 */

import { writeFileSync } from 'node:fs';
import { credentials, status } from '@grpc/grpc-js';
import { test, type Test } from 'tap';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway, type LogLine, type RunningGateway } from '../running-gateway.js';
import { Authority, type Issued } from './authority.js';

const section = 'kubesvc.grpc.server.security';
const names = { 'grpc.ssl_target_name_override': 'gateway', 'grpc.default_authority': 'gateway' };

function dial(t: Test, { agentsAddress }: RunningGateway, authority: Authority, issued: Issued | undefined): RawAgent {
  const pem = (file: string): Buffer => Buffer.from(authority.read(file));
  const pair = issued === undefined ? [] : ([pem(issued.key), pem(issued.certificate)] as const);
  const secure = credentials.createSsl(pem(authority.certificate), ...pair);
  const agent = new RawAgent(agentsAddress, secure, names);
  t.teardown(() => agent.close());
  return agent;
}

/** Registers; gives the status that the stream ended with, 0 when it is served. */
async function register(agent: RawAgent, agentId: string, account: string): Promise<{ code: number; details: string }> {
  agent.send({ case: 'register', value: { agentId, accounts: [{ name: account }] } });
  const registered = () => agent.all('registered').length > 0;
  await waitFor(() => registered() || agent.end !== undefined);
  return registered() ? { code: 0, details: '' } : (agent.end ?? { code: -1, details: '' });
}

/** That the agent's operations are answered. */
async function serves(t: Test, gateway: RunningGateway, agent: RawAgent, account: string): Promise<void> {
  const before = agent.all('operation').length;
  const answering = gateway.operate({ account, get: { object: { kind: 'Pod', name: 'web' } } });
  const { id } = await waitFor(() => agent.all('operation')[before]);
  agent.send({ case: 'result', value: { operationId: id, account, status: 200 } });
  t.equal((await answering).status, 200, 'the honest agent is served');
}

test('attackers with certificates', async (t) => {
  const authority = new Authority(t);
  const stranger = new Authority(t, 'stranger');
  const server = authority.issue({ subject: '/CN=gateway', alternativeNames: 'DNS:gateway' });
  const honest = authority.issue({ subject: '/O=Acme/OU=clusters/CN=agent-1' });
  const revoked = authority.issue({ subject: '/O=Acme/OU=clusters/CN=agent-2' });
  authority.revoke(revoked);

  const files = {
    [`${section}.enabled`]: true,
    [`${section}.certificateChain`]: server.certificate,
    [`${section}.privateKey`]: server.key,
    'server.ssl.enabled': false,
  };
  const trusting = { [`${section}.clientAuth`]: 'REQUIRE', [`${section}.trustCertCollection`]: authority.certificate };
  const open = await startGateway(t, files);
  const required = await startGateway(t, { ...files, ...trusting });
  const strict = await startGateway(t, {
    ...files,
    ...trusting,
    [`${section}.revocationList`]: authority.revocationList,
    'kubesvc.grpc.auth.x509.enabled': true,
    'kubesvc.grpc.auth.x509.filters': 'OU=clusters,O=Acme;DNS:*.agents.example.com',
  });

  const honestAgents = await Promise.all(
    [open, required, strict].map(async (gateway) => {
      const agent = dial(t, gateway, authority, honest);
      t.equal((await register(agent, 'honest', 'honest')).code, 0);
      return { gateway, agent };
    }),
  );

  const attackers: {
    readonly attack: string;
    readonly shows: Issued | undefined;
    readonly off: RunningGateway;
    readonly code: status;
    readonly log: RegExp;
  }[] = [
    {
      attack: 'no certificate',
      shows: undefined,
      off: open,
      code: status.UNAVAILABLE,
      log: /peer did not return a certificate/u,
    },
    {
      attack: 'an unknown authority',
      shows: stranger.issue({ subject: '/O=Acme/OU=clusters/CN=agent-1' }),
      off: open,
      code: status.UNAVAILABLE,
      log: /not trusted: UNABLE_TO_VERIFY_LEAF_SIGNATURE/u,
    },
    {
      attack: 'an expired certificate',
      shows: authority.issue({ subject: '/O=Acme/OU=clusters/CN=agent-3', from: -10, to: -1 }),
      off: open,
      code: status.UNAVAILABLE,
      log: /not trusted: CERT_HAS_EXPIRED/u,
    },
    {
      attack: 'a certificate that is not valid yet',
      shows: authority.issue({ subject: '/O=Acme/OU=clusters/CN=agent-4', from: 5 }),
      off: open,
      code: status.UNAVAILABLE,
      log: /not trusted: CERT_NOT_YET_VALID/u,
    },
    { attack: 'a revoked certificate', shows: revoked, off: required, code: status.UNAVAILABLE, log: /CERT_REVOKED/u },
    {
      attack: 'another subject',
      shows: authority.issue({ subject: '/O=Acme/OU=web/CN=agent-1', alternativeNames: 'DNS:agents.example.com' }),
      off: required,
      code: status.PERMISSION_DENIED,
      log: /no filter matches the certificate of x509:[^ ]*OU=web/u,
    },
    {
      attack: 'a subject that looks like the right one',
      shows: authority.issue({ subject: '/O=Acme, OU=clusters/OU=web/CN=OU=clusters,O=Acme' }),
      off: required,
      code: status.PERMISSION_DENIED,
      log: /no filter matches/u,
    },
  ];
  for (const [index, { attack, shows, off, code, log }] of attackers.entries()) {
    await t.test(attack, async (t) => {
      const account = `stolen-${String(index)}`;
      const inside = dial(t, off, authority, shows);
      t.equal((await register(inside, 'attacker', account)).code, 0, 'without the defence it is served');
      await serves(t, off, inside, account);

      const lines = strict.log.length;
      const outside = dial(t, strict, authority, shows);
      t.equal((await register(outside, 'attacker', account)).code, code);
      t.same(outside.frames, [], 'nothing was said to it');
      const words = ({ msg, error }: LogLine): string => `${msg} ${typeof error === 'string' ? error : ''}`;
      await waitFor(() => strict.log.slice(lines).some((line) => log.test(words(line))), {
        description: `a line of the log for ${String(log)}`,
      });
    });
  }

  await t.test('meanwhile', async (t) => {
    for (const { gateway, agent } of honestAgents) {
      t.equal(agent.end, undefined);
      await serves(t, gateway, agent, 'honest');
    }
    const metrics = await (await fetch(`${strict.restUrl}/metrics`)).text();
    t.match(metrics, /agent_gateway_authentications_total\{port="agents",outcome="permission-denied"[^}]*\} 2/u);
  });

  await t.test('any of the filters lets in, by an alternative name too', async (t) => {
    const shows = authority.issue({ subject: '/CN=other', alternativeNames: 'DNS:a.agents.example.com' });
    t.equal((await register(dial(t, strict, authority, shows), 'by-name', 'by-name')).code, 0);
  });

  await t.test('a certificate is revoked while the gateway runs', async (t) => {
    const shows = authority.issue({ subject: '/O=Acme/OU=clusters/CN=agent-5' });
    const fired = dial(t, strict, authority, shows);
    t.equal((await register(fired, 'fired', 'fired')).code, 0);
    authority.revoke(shows);
    await waitFor(() => fired.end, { description: 'its open stream to end' });
    t.ok(strict.log.some(({ msg }) => msg.includes('its certificate was revoked after it connected')));
    t.equal((await register(dial(t, strict, authority, shows), 'fired', 'fired')).code, status.UNAVAILABLE);
    const { gateway, agent } = honestAgents[2] ?? {};
    if (gateway !== undefined && agent !== undefined) await serves(t, gateway, agent, 'honest');
  });

  await t.test('a revocation list that is none stops the start', async (t) => {
    writeFileSync(authority.path('none.crl'), 'not PEM');
    const settings = { ...files, ...trusting, [`${section}.revocationList`]: authority.path('none.crl') };
    await t.rejects(startGateway(t, settings), {
      code: 'configuration',
      message: `${section}.revocationList: no certificate revocation list in it`,
    });
  });
});
