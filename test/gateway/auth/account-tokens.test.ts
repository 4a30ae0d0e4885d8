/** Tokens that are good for the Kubernetes API of one account: what is accepted, for how long, and what makes a new one. */

import { createHmac } from 'node:crypto';
import { SignJWT } from 'jose';
import { test } from 'tap';
import { deriveKey, parseSharedSecrets } from '../../../src/core/shared-secrets.js';
import { accountTokenIn, AccountTokens } from '../../../src/gateway/auth/account-tokens.js';
import { Authenticator } from '../../../src/gateway/auth/authenticator.js';

const [one, two] = ['1', '2'].map((digit) => digit.repeat(40)) as [string, string];
const lifetimeSeconds = 1_000;
const now = Date.parse('2026-03-01T08:15:30.123Z');

/** As an instance has it whose file has these secrets. */
function instance(text: string, revoked: Record<string, number> = {}): AccountTokens {
  const secrets = parseSharedSecrets(text);
  return new AccountTokens({
    secrets: () => secrets,
    lifetimeSeconds,
    revokedAt: (account) => revoked[account] ?? 0,
  });
}

function claimsOf(token: string): { sub: string; iat: number; exp: number; revoked: number } {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as ReturnType<typeof claimsOf>;
}

test('every instance makes the same token, until it is renewed', async (t) => {
  const { token, renewAt } = await instance(one).sign('prod', now);
  t.equal(await instance(one).verify(token, now), 'prod');
  t.ok(renewAt > now && renewAt <= now + (lifetimeSeconds * 1_000) / 2);
  t.same(await instance(`${one}\n${two}`).sign('prod', renewAt - 1), { token, renewAt }, 'to the last moment');
  const next = await instance(one).sign('prod', renewAt);
  t.not(next.token, token);
  t.equal(next.renewAt, renewAt + (lifetimeSeconds * 1_000) / 2);
  t.equal(await instance(one).verify(token, renewAt), 'prod', 'both are good after that');
  t.equal(claimsOf(token).exp * 1_000, renewAt + (lifetimeSeconds * 1_000) / 2, 'for half of the lifetime');
  const renewals = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => (await instance(one).sign(`a${index}`, now)).renewAt),
  );
  t.ok(new Set(renewals).size > 15, 'accounts renew at different times');
});

test('what is refused', async (t) => {
  const verifier = instance(one);
  const { token } = await verifier.sign('prod', now);
  const refused = (made: string, message: RegExp, at = now) =>
    t.rejects(verifier.verify(made, at), { code: 'unauthenticated', message });
  await t.test('an expired one', async () => {
    const end = claimsOf(token).exp * 1_000;
    t.equal(await verifier.verify(token, end - 1_000), 'prod');
    await refused(token, /expired/u, end);
  });
  await t.test('one of another secret', async () => {
    await refused((await instance(two).sign('prod', now)).token, /not signed with a known key/u);
  });
  const [head = '', , signature = ''] = token.split('.');
  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as { kid: string; typ: string };
  await t.test('one whose account was changed', async () => {
    await refused(`${head}.${encoded({ ...claimsOf(token), sub: 'other' })}.${signature}`, /invalid signature/u);
  });
  await t.test('one without a signature, or with another algorithm', async () => {
    const claims = encoded(claimsOf(token));
    await refused(`${encoded({ ...header, alg: 'none' })}.${claims}.`, /token refused/u);
    const key = deriveKey(Buffer.from(one), 'agent-gateway: key of account tokens', 32);
    const made = `${encoded({ ...header, alg: 'HS512' })}.${claims}`;
    const mac = createHmac('sha512', key).update(made).digest('base64url');
    await refused(`${made}.${mac}`, /algorithm is not allowed/u);
  });
  await t.test('one signed with the secret itself, which other purposes have too', async () => {
    await refused(await signed(header.kid, header.typ, Buffer.from(one)), /invalid signature/u);
  });
  await t.test('one of another type, signed with our key', async () => {
    const key = deriveKey(Buffer.from(one), 'agent-gateway: key of account tokens', 32);
    await refused(await signed(header.kid, 'JWT', key), /"typ" is not accepted/u);
    t.equal(accountTokenIn(`Bearer ${await signed(header.kid, 'JWT', key)}`), undefined);
    t.equal(await verifier.verify(await signed(header.kid, header.typ, key), now), 'prod', 'only for that');
  });
});

function signed(kid: string, typ: string, key: Uint8Array): Promise<string> {
  return new SignJWT({ sub: 'prod', exp: now / 1_000 + 60, revoked: 0 })
    .setProtectedHeader({ alg: 'HS256', typ, kid })
    .sign(key);
}

test('a secret is replaced without a gap', async (t) => {
  const states = [one, `${one}\n${two}`, `${two}\n${one}`, two].map((text) => instance(text));
  for (const [index, state] of states.entries()) {
    const { token } = await state.sign('prod', now);
    // Instances read their files at different times: a neighbour is one step behind, or ahead.
    for (const neighbour of [states[index - 1], state, states[index + 1]])
      if (neighbour !== undefined) t.equal(await neighbour.verify(token, now), 'prod', `step ${index}`);
  }
  const [before, , , after] = states as [AccountTokens, AccountTokens, AccountTokens, AccountTokens];
  await t.rejects(after.verify((await before.sign('prod', now)).token, now), /not signed with a known key/u);
});

test('the file is read anew', async (t) => {
  let secrets = parseSharedSecrets(one);
  const tokens = new AccountTokens({ secrets: () => secrets, lifetimeSeconds, revokedAt: () => 0 });
  const { token } = await tokens.sign('prod', now);
  secrets = parseSharedSecrets(two);
  t.not((await tokens.sign('prod', now)).token, token);
  await t.rejects(tokens.verify(token, now));
});

test('revoked, and made anew', async (t) => {
  const unaware = instance(one);
  const { token, renewAt } = await unaware.sign('prod', now);
  const other = await unaware.sign('other', now);
  const aware = instance(one, { prod: now + 5 });
  await t.rejects(aware.verify(token, now), {
    code: 'unauthenticated',
    message: /tokens of its account were revoked/u,
  });
  t.equal(await aware.verify(other.token, now), 'other', 'not those of other accounts');
  const next = await aware.sign('prod', now);
  t.equal(await aware.verify(next.token, now), 'prod', 'at once, in the same period');
  t.equal(next.renewAt, renewAt);
  t.equal(await unaware.verify(next.token, now), 'prod', 'by an instance that has not learned of it, too');
  const fast = await unaware.sign('prod', renewAt + 1);
  await t.rejects(aware.verify(fast.token, renewAt), /revoked/u, 'by an instance whose clock is ahead');
  const twice = instance(one, { prod: now + 6 });
  await t.rejects(twice.verify(next.token, now), /revoked/u, 'again, in the same moment');
});

test('no other way to authenticate learns of such a token', async (t) => {
  const { token } = await instance(one).sign('prod', now);
  const asked: string[] = [];
  const tokenReviewer = {
    verify: (shown: string) => {
      asked.push(shown);
      return Promise.resolve({ name: 'reviewed' });
    },
  };
  const authenticator = new Authenticator({ tokenReviewer: tokenReviewer as never, now: () => now });
  const { signal } = new AbortController();
  await t.rejects(authenticator.authenticate({ authorization: `bearer  ${token}` }, signal), {
    code: 'permission-denied',
    message: /good only for its Kubernetes API/u,
  });
  t.same(asked, []);
  t.equal((await authenticator.authenticate({ authorization: 'Bearer another' }, signal)).name, 'reviewed');
});

test('what is no account token', async (t) => {
  const { token } = await instance(one).sign('prod', now);
  t.equal(accountTokenIn(`Bearer ${token}`), token);
  for (const shown of [undefined, '', token, `Basic ${token}`, 'Bearer x', 'Bearer a.b.c', `Bearer ${token} x`])
    t.equal(accountTokenIn(shown), undefined, String(shown));
});
