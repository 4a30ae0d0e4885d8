/** Attackers with tokens, and tokens and keys that change under a running gateway. */

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type CryptoKey } from 'jose';
import { test, type Test } from 'tap';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway, type RunningGateway } from '../running-gateway.js';

const issuer = 'https://issuer.example.com';
const audience = 'agent-gateway';
const section = 'kubesvc.grpc.auth.tokens';

interface KeyPair {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

async function makeKey(kid: string): Promise<KeyPair> {
  return { kid, ...(await generateKeyPair('ES256', { extractable: true })) };
}

async function keySet(...keys: KeyPair[]): Promise<string> {
  const publicKeys = keys.map(async ({ kid, publicKey }) => ({ ...(await exportJWK(publicKey)), kid, alg: 'ES256' }));
  return JSON.stringify({ keys: await Promise.all(publicKeys) });
}

function makeToken({ kid, privateKey }: KeyPair, claims: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const expires = Math.floor(Date.now() / 1_000) + 600;
  const payload = { iss: issuer, aud: audience, sub: 'agent-1', exp: expires, ...claims };
  return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid }).sign(privateKey);
}

function dial(t: Test, { agentsAddress }: RunningGateway, authorization: string | undefined): RawAgent {
  const agent = new RawAgent(agentsAddress, undefined, {}, authorization);
  t.teardown(() => agent.close());
  return agent;
}

async function register(
  agent: RawAgent,
  agentId: string,
  account = agentId,
): Promise<{ code: number; details: string }> {
  agent.send({ case: 'register', value: { agentId, accounts: [{ name: account }] } });
  const registered = () => agent.all('registered').length > 0;
  await waitFor(() => registered() || agent.end !== undefined);
  return registered() ? { code: 0, details: '' } : (agent.end ?? { code: -1, details: '' });
}

const digest = (token: string): string => createHash('sha256').update(token).digest('hex');

test('attackers with tokens', async (t) => {
  const directory = t.testdir({});
  const key = await makeKey('first');
  const tokens = join(directory, 'tokens.yml');
  const keys = join(directory, 'keys.json');
  const past = new Date(Date.now() - 60_000).toISOString();
  writeFileSync(keys, await keySet(key));
  writeFileSync(
    tokens,
    `tokens:\n  - {name: team-a, sha256: ${digest('open sesame'.replace(' ', '-'))}}\n  - {name: team-b, sha256: ${digest('old')}, expires: '${past}'}\n`,
  );
  const open = await startGateway(t);
  const strict = await startGateway(t, {
    [`${section}.file`]: tokens,
    [`${section}.jwt.jwksFile`]: keys,
    [`${section}.jwt.issuer`]: issuer,
    [`${section}.jwt.audiences`]: audience,
  });
  const seconds = Math.floor(Date.now() / 1_000);
  const stolen = await makeKey('first');
  const publicKey = JSON.stringify(await exportJWK(key.publicKey));
  const confused = new SignJWT({ iss: issuer, aud: audience, sub: 'agent-1', exp: seconds + 600 });

  const attackers: Readonly<Record<string, { readonly shows: string | undefined; readonly refused: RegExp }>> = {
    'no token': { shows: undefined, refused: /no credentials: expected a token/u },
    'a token that nobody knows': { shows: 'Bearer guess', refused: /not a signed JSON Web Token/u },
    'another scheme': { shows: 'Basic b3BlbjpzZXNhbWU=', refused: /expected "Bearer TOKEN"/u },
    'an enormous token': {
      shows: `Bearer ${'a'.repeat(20_000)}`,
      refused: /expected "Bearer TOKEN"|too large|Http|header/iu,
    },
    'a static token that has expired': { shows: 'Bearer old', refused: /expired/u },
    'the digest instead of the token': { shows: `Bearer ${digest('open-sesame')}`, refused: /not a signed/u },
    'a token of another audience': {
      shows: `Bearer ${await makeToken(key, { aud: 'payments' })}`,
      refused: /claim "aud" is not accepted/u,
    },
    'a token of another issuer': {
      shows: `Bearer ${await makeToken(key, { iss: 'https://evil.example.com' })}`,
      refused: /claim "iss" is not accepted/u,
    },
    'an expired token': { shows: `Bearer ${await makeToken(key, { exp: seconds - 60 })}`, refused: /expired/u },
    'a token that never expires': {
      shows: `Bearer ${await makeToken(key, { exp: undefined })}`,
      refused: /claim "exp" is not accepted/u,
    },
    'a token that is not valid yet': {
      shows: `Bearer ${await makeToken(key, { nbf: seconds + 600 })}`,
      refused: /claim "nbf" is not accepted/u,
    },
    'a token without a subject': {
      shows: `Bearer ${await makeToken(key, { sub: undefined })}`,
      refused: /claim "sub" is not accepted/u,
    },
    'a name that is meant for the log': {
      shows: `Bearer ${await makeToken(key, { sub: 'a\nb' })}`,
      refused: /contains control characters/u,
    },
    'alg: none': {
      shows: `Bearer ${new UnsecuredJWT({ iss: issuer, aud: audience, sub: 'agent-1' }).setExpirationTime('1h').encode()}`,
      refused: /its signature algorithm is not allowed|not a signed/u,
    },
    'the public key as a shared secret': {
      shows: `Bearer ${await confused.setProtectedHeader({ alg: 'HS256', kid: 'first' }).sign(Buffer.from(publicKey))}`,
      refused: /its signature algorithm is not allowed/u,
    },
    'the key id of another key': {
      shows: `Bearer ${await makeToken(stolen)}`,
      refused: /invalid signature/u,
    },
    'an unknown key': {
      shows: `Bearer ${await makeToken(await makeKey('other'))}`,
      refused: /not signed with a known key/u,
    },
    'a changed token': {
      shows: `Bearer ${(await makeToken(key)).replace(/\.[^.]+\./u, `.${Buffer.from(JSON.stringify({ iss: issuer, aud: audience, sub: 'admin', exp: seconds + 600 })).toString('base64url')}.`)}`,
      refused: /invalid signature/u,
    },
  };

  const honest = dial(t, strict, 'Bearer open-sesame');
  t.equal((await register(honest, 'honest')).code, 0);
  t.equal((await register(dial(t, strict, `bearer ${await makeToken(key)}`), 'by-jwt')).code, 0);
  for (const [index, [attack, { shows, refused }]] of Object.entries(attackers).entries()) {
    await t.test(attack, async (t) => {
      const agentId = `attacker-${String(index)}`;
      const account = `stolen-${String(index)}`;
      if (attack !== 'an enormous token')
        t.equal((await register(dial(t, open, shows), agentId, account)).code, 0, 'without the defence it is served');
      const { code, details } = await register(dial(t, strict, shows), agentId, account);
      t.not(code, 0);
      if (attack !== 'an enormous token') t.equal(code, status.UNAUTHENTICATED);
      t.match(details, refused);
    });
  }
  t.equal(honest.end, undefined, 'the honest agent stays');
  const log = JSON.stringify(strict.log);
  for (const { shows = 'Bearer none at all' } of Object.values(attackers))
    t.notOk(log.includes(shows.slice(shows.indexOf(' ') + 1)) && shows.length > 20, 'no token in the log');

  await t.test('files that change', async (t) => {
    const next = await makeKey('second');
    writeFileSync(keys, await keySet(key, next));
    writeFileSync(tokens, `tokens: [{name: team-a, sha256: ${digest('new-word')}}]`);
    const changes = () => strict.log.filter(({ msg }) => msg === 'file changed; its new content is in effect').length;
    await waitFor(() => changes() === 2);
    t.equal((await register(dial(t, strict, `Bearer ${await makeToken(next, { sub: 'agent-2' })}`), 'second')).code, 0);
    t.equal((await register(dial(t, strict, 'Bearer new-word'), 'renewed')).code, 0);
    t.equal((await register(dial(t, strict, 'Bearer open-sesame'), 'late')).code, status.UNAUTHENTICATED);
    t.equal(honest.end, undefined, 'a replaced token of the same name ends no stream');

    writeFileSync(tokens, 'tokens: [{name: team-a, sha256: nonsense}]');
    await waitFor(() =>
      strict.log.some(({ msg }) => msg === 'file changed and cannot be used; keeping the old content'),
    );
    t.match(
      strict.log.find(({ msg }) => msg === 'file changed and cannot be used; keeping the old content'),
      {
        setting: `${section}.file`,
        error: /^tokens\[0\]\.sha256: expected the SHA-256 digest/u,
      },
    );
    t.equal((await register(dial(t, strict, 'Bearer new-word'), 'renewed-again')).code, 0, 'it changes nothing');

    writeFileSync(tokens, `tokens: [{name: team-c, sha256: ${digest('third')}}]`);
    t.match(await honest.ended(), { code: status.UNAUTHENTICATED, details: /^token team-a is no longer accepted$/u });
  });
});

test('an agent whose token has expired is asked to dial again', async (t) => {
  const directory = t.testdir({});
  const key = await makeKey('only');
  const keys = join(directory, 'keys.json');
  writeFileSync(keys, await keySet(key));
  const gateway = await startGateway(t, {
    [`${section}.jwt.jwksFile`]: keys,
    [`${section}.jwt.issuer`]: issuer,
    [`${section}.jwt.audiences`]: audience,
    [`${section}.jwt.clockToleranceSeconds`]: 0,
    'kubesvc.instances.heartbeatMs': 200,
    'kubesvc.instances.leaseMs': 1_800,
  });
  const agent = dial(t, gateway, `Bearer ${await makeToken(key, { exp: Math.floor(Date.now() / 1_000) + 2 })}`);
  t.equal((await register(agent, 'agent')).code, 0);
  await agent.next('reconnect');
  t.equal(agent.end, undefined, 'and may go on until it has');
});

test('keys behind a URL', async (t) => {
  const [first, second] = [await makeKey('first'), await makeKey('second')];
  let served = await keySet(first);
  let asked = 0;
  const server = createServer((_request, response) => {
    asked += 1;
    response.setHeader('content-type', 'application/json').end(served);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const gateway = await startGateway(t, {
    [`${section}.jwt.jwksUrl`]: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/keys`,
    [`${section}.jwt.issuer`]: issuer,
    [`${section}.jwt.audiences`]: audience,
  });
  t.equal((await register(dial(t, gateway, `Bearer ${await makeToken(first)}`), 'one')).code, 0);
  t.equal((await register(dial(t, gateway, `Bearer ${await makeToken(first)}`), 'two')).code, 0);
  t.equal(asked, 1, 'keys are kept');
  served = await keySet(first, second);
  const { code, details } = await register(dial(t, gateway, `Bearer ${await makeToken(second)}`), 'three');
  t.match({ code, details }, { code: status.UNAUTHENTICATED, details: /not signed with a known key/u });
  t.equal(asked, 1, 'a stranger cannot have them fetched again and again');
  server.close();
  server.closeAllConnections();
  t.equal((await register(dial(t, gateway, `Bearer ${await makeToken(first)}`), 'four')).code, 0, 'known keys stay');
});
