/**
 * Attackers that pretend to be an instance: each call is accepted by a gateway where instances prove nothing, and refused
 * by one where they do.
 */

import { create, toBinary } from '@bufbuild/protobuf';
import { writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import fc from 'fast-check';
import { jwtVerify, SignJWT, UnsecuredJWT } from 'jose';
import { test } from 'tap';
import { parseSharedSecrets } from '../../../src/core/shared-secrets.js';
import { digestOf, InstanceTokens } from '../../../src/gateway/peers/instance-tokens.js';
import { OperationSchema } from '../../../src/protocol/generated/ops/operations_pb.js';
import { writeDelimited } from '../../../src/protocol/delimited.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { gatewayId, startGateway, type RunningGateway } from '../running-gateway.js';
import { Authority } from './authority.js';

const path = '/armory/agent/operations';
const secret = 'a secret of at least thirty-two characters';
let operations = 0;

/** What an instance sends when it forwards an operation. */
function forwarded(account: string): Buffer {
  operations += 1;
  const id = `01ARZ3NDEKTSV4RRFFQ69G${String(operations).padStart(4, '0')}`;
  const value = { id, account, timeoutMs: 20_000, originatingInstanceId: 'gateway-2' };
  const operation = create(OperationSchema, { ...value, type: { case: 'get', value: {} } } as never);
  return Buffer.from(writeDelimited([toBinary(OperationSchema, operation)]));
}

/** The same as a peer sends it that speaks no protobuf. */
function forwardedJson(account: string): Buffer {
  operations += 1;
  const id = `01ARZ3NDEKTSV4RRFFQ69G${String(operations).padStart(4, '0')}`;
  const operation = { id, account, timeoutMs: 20_000, originatingClouddriverId: 'gateway-2', get: {} };
  return Buffer.from(JSON.stringify({ operation }));
}

interface Call {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  readonly path?: string;
  readonly method?: string;
}

async function send(gateway: RunningGateway, call: Call): Promise<{ status: number; text: string }> {
  const response = await fetch(gateway.restUrl + (call.path ?? path), {
    method: call.method ?? 'POST',
    headers: { 'content-type': 'application/x-protobuf', 'x-agent-gateway-forwarded-by': 'gateway-2', ...call.headers },
    body: call.body,
    signal: AbortSignal.timeout(120_000),
  });
  return { status: response.status, text: await response.text() };
}

const seconds = (): number => Math.floor(Date.now() / 1_000);
const withToken = (token: string) => ({ 'x-agent-gateway-instance': token });

function tokensOf(instanceId: string, secrets = secret, now = Date.now): InstanceTokens {
  return new InstanceTokens({ instanceId, secrets: () => parseSharedSecrets(secrets), now });
}

test('pretending to be an instance', async (t) => {
  const secretFile = join(t.testdir({ secrets: `${secret}\n` }), 'secrets');
  const open = await startGateway(t);
  const strict = await startGateway(t, { 'server.auth.instances.secretFile': secretFile });
  const agents = await Promise.all(
    [open, strict].map(({ agentsAddress }) =>
      RawAgent.register(t, agentsAddress, { agentId: 'agent', accounts: [{ name: 'prod' }] }),
    ),
  );
  const gateway2 = tokensOf('gateway-2');
  const sign = (body: Buffer, of = gateway2, to = gatewayId, method = 'POST', at = path): string =>
    of.sign(to, { method, path: at, bodyDigest: digestOf(body) });
  const claims = (body: Buffer) => ({ htm: 'POST', htu: path, body: digestOf(body), jti: `own-${String(operations)}` });

  await t.test('an instance is let in', async (t) => {
    const body = forwarded('prod');
    t.match(await send(strict, { body, headers: withToken(sign(body)) }), {
      status: 200,
      text: /"agentId":"agent"/u,
    });
    const json = forwardedJson('prod');
    const headers = { ...withToken(sign(json)), 'content-type': 'application/json' };
    t.match(await send(strict, { body: json, headers }), { status: 200 });
  });

  const attackers: Readonly<Record<string, () => Call | Promise<Call>>> = {
    'a forged origin header': () => ({ body: forwarded('prod'), headers: {} }),
    'messages without the header': () => {
      const body = forwarded('prod');
      return { body, headers: { 'x-agent-gateway-forwarded-by': '' } };
    },
    'the token of a call to another instance': () => {
      const body = forwarded('prod');
      return { body, headers: withToken(sign(body, gateway2, 'gateway-3')) };
    },
    'the token of another path': () => {
      const body = forwarded('prod');
      return { body, headers: withToken(sign(body, gateway2, gatewayId, 'POST', '/armory/agent/assignments')) };
    },
    'the token of another method': () => {
      const body = forwarded('prod');
      return { body, headers: withToken(sign(body, gateway2, gatewayId, 'GET')) };
    },
    'the token of another body': () => ({
      body: forwarded('prod'),
      headers: withToken(sign(forwarded('prod'))),
    }),
    'the token of another body, as JSON': () => ({
      body: forwardedJson('prod'),
      headers: { ...withToken(sign(forwardedJson('prod'))), 'content-type': 'application/json' },
    }),
    'an empty body under the token of another one': () => ({
      body: Buffer.alloc(0),
      headers: withToken(sign(forwarded('prod'))),
    }),
    'another name than the token has': () => {
      const body = forwarded('prod');
      return { body, headers: { ...withToken(sign(body)), 'x-agent-gateway-forwarded-by': 'gateway-9' } };
    },
    'a token of another secret': () => {
      const body = forwarded('prod');
      return { body, headers: withToken(sign(body, tokensOf('gateway-2', 'x'.repeat(40)))) };
    },
    'an expired token': () => {
      const body = forwarded('prod');
      return {
        body,
        headers: withToken(
          sign(
            body,
            tokensOf('gateway-2', secret, () => Date.now() - 120_000),
          ),
        ),
      };
    },
    'a token for later': () => {
      const body = forwarded('prod');
      return {
        body,
        headers: withToken(
          sign(
            body,
            tokensOf('gateway-2', secret, () => Date.now() + 120_000),
          ),
        ),
      };
    },
    'a token that is valid for long': async () => {
      const body = forwarded('prod');
      const token = new SignJWT(claims(body)).setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).setIssuer('gateway-2');
      token
        .setAudience(gatewayId)
        .setIssuedAt(seconds() - 300)
        .setExpirationTime('1h');
      return { body, headers: withToken(await token.sign(Buffer.from(secret))) };
    },
    'a token without an id': async () => {
      const body = forwarded('prod');
      const { jti: _, ...rest } = claims(body);
      const token = new SignJWT(rest).setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).setIssuer('gateway-2');
      token.setAudience(gatewayId).setIssuedAt().setExpirationTime('30s');
      return { body, headers: withToken(await token.sign(Buffer.from(secret))) };
    },
    'alg: none': () => {
      const body = forwarded('prod');
      const token = new UnsecuredJWT(claims(body)).setIssuer('gateway-2').setAudience(gatewayId);
      return { body, headers: withToken(token.setIssuedAt().setExpirationTime('30s').encode()) };
    },
  };
  for (const [attack, make] of Object.entries(attackers)) {
    await t.test(attack, async (t) => {
      t.equal((await send(open, await make())).status, 200, 'without the defence it is taken');
      const sent = () => agents[1]?.all('operation').length;
      const before = sent();
      const { status, text } = await send(strict, await make());
      t.equal(status, 403, text);
      t.match(text, /urn:agent-gateway:problem:permission-denied/u);
      t.equal(sent(), before, 'the agent gets nothing');
    });
  }

  await t.test('a replay', async (t) => {
    const body = forwarded('prod');
    const call = { body, headers: withToken(sign(body)) };
    t.equal((await send(open, call)).status, 200);
    t.equal((await send(open, call)).status, 200, 'without the defence it is taken again');
    t.equal((await send(strict, call)).status, 200);
    t.match(await send(strict, call), { status: 403, text: /already used/u });
    t.match(
      await Promise.all(Array.from({ length: 5 }, async () => (await send(strict, call)).status)),
      [403, 403, 403, 403, 403],
    );
  });

  await t.test('secrets that change', async (t) => {
    const next = 'another secret of more than thirty-two characters';
    const changes = () => strict.log.filter(({ msg }) => msg === 'file changed; its new content is in effect').length;
    const statusWith = async (secrets: string): Promise<number> => {
      const body = forwarded('prod');
      return (await send(strict, { body, headers: withToken(sign(body, tokensOf('gateway-2', secrets))) })).status;
    };
    t.equal(await statusWith(next), 403);
    writeFileSync(secretFile, `${secret}\n${next}\n`);
    await waitFor(() => changes() === 1);
    t.same([await statusWith(secret), await statusWith(next)], [200, 200]);
    writeFileSync(secretFile, next);
    await waitFor(() => changes() === 2);
    t.same([await statusWith(secret), await statusWith(next)], [403, 200]);
    writeFileSync(secretFile, 'short');
    await waitFor(() =>
      strict.log.some(({ msg }) => msg === 'file changed and cannot be used; keeping the old content'),
    );
    t.equal(await statusWith(next), 200);
    const log = JSON.stringify(strict.log);
    t.notOk(log.includes(secret) || log.includes(next), 'no secret in the log');
  });

  await t.test('callers that say nothing of instances are served as before', async (t) => {
    t.equal((await strict.request('/armory/agents')).status, 200);
  });
});

test('instances with certificates', async (t) => {
  const authority = new Authority(t);
  const server = authority.issue({ subject: '/CN=gateway', alternativeNames: 'IP:127.0.0.1' });
  const gateway = await startGateway(t, {
    'server.ssl.enabled': true,
    'server.ssl.certificateChain': server.certificate,
    'server.ssl.privateKey': server.key,
    'server.ssl.trustCertCollection': authority.certificate,
    'server.ssl.clientAuth': 'OPTIONAL',
    'server.auth.instances.filters': 'CN=gateway',
  });
  const status = (subject: string | undefined): Promise<number> =>
    new Promise((resolve, reject) => {
      const issued = subject === undefined ? undefined : authority.issue({ subject });
      const pair = issued && { cert: authority.read(issued.certificate), key: authority.read(issued.key) };
      const target = { host: '127.0.0.1', port: gateway.restPort, path, method: 'POST', agent: false };
      const headers = { 'content-type': 'application/x-protobuf', 'x-agent-gateway-forwarded-by': 'gateway-2' };
      httpsRequest({ ...target, ...pair, headers, ca: authority.read(authority.certificate) }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      })
        .on('error', reject)
        .end();
    });
  t.equal(await status('/CN=gateway'), 200);
  t.equal(await status('/CN=agent'), 403);
  t.equal(await status(undefined), 403);
});

test('used tokens are remembered while they are valid, whatever the wall clock says meanwhile', (t) => {
  let now = Date.now();
  const [sender, receiver] = [tokensOf('a', secret, () => now), tokensOf('b', secret, () => now)];
  const call = { method: 'GET', path: '/x', bodyDigest: digestOf(undefined) };
  const token = sender.sign('b', call);
  t.match(receiver.verify(token, call), { instanceId: 'a', bodyDigest: call.bodyDigest });
  for (const later of [0, 20_000, 35_000]) {
    now += later;
    t.throws(() => receiver.verify(token, call), { code: 'permission-denied' });
  }
  const next = sender.sign('b', call);
  t.match(receiver.verify(next, call), { instanceId: 'a' });
  now += 3_600_000;
  t.match(receiver.verify(sender.sign('b', call), call), { instanceId: 'a' }, 'an hour ahead');
  now -= 3_600_000;
  t.throws(() => receiver.verify(next, call), { code: 'permission-denied', message: /already used/ });
  t.end();
});

test('what is signed is a JSON Web Token that others read, and nothing else is one', async (t) => {
  const call = { method: 'POST', path: '/x?y=z', bodyDigest: digestOf('body') };
  const [sender, receiver] = [tokensOf('a'), tokensOf('b')];
  const { payload, protectedHeader } = await jwtVerify(sender.sign('b', call), Buffer.from(secret), {
    ...{ algorithms: ['HS256'], issuer: 'a', audience: 'b', maxTokenAge: '30s' },
  });
  t.match({ payload, protectedHeader }, { payload: { htm: 'POST', htu: '/x?y=z' }, protectedHeader: { alg: 'HS256' } });

  const [head = '', claims = '', mac = ''] = sender.sign('b', call).split('.');
  const forged = [
    ...['', '.', '..', head, `${head}.`, `${head}.${claims}`, `${head}.${claims}.`, `.${claims}.${mac}`],
    ...[`${head}.${claims}.${mac.slice(0, -2)}`, `${head}.${claims}.${mac}AA`, `${head}.${claims}.${mac}.${mac}`],
    ...[`${head}.${Buffer.from('{}').toString('base64url')}.${mac}`, `x${head}.${claims}.${mac}`],
  ];
  for (const token of forged) t.throws(() => receiver.verify(token, call), { code: 'permission-denied' }, token);
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const bytes = Buffer.from(`${head}.${claims}.${mac}`);
      const index = at % (bytes.length - 1);
      bytes[index] = (bytes[index] ?? 0) ^ flip;
      t.throws(() => receiver.verify(bytes.toString('latin1'), call), { code: 'permission-denied' });
    }),
  );
  t.ok(receiver.verify(`${head}.${claims}.${mac}`, call), 'the genuine one');
});
