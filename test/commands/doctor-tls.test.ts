/** What `doctor` says of the files of TLS. */

import { test } from 'tap';
import { examineTls } from '../../src/commands/doctor/tls.js';
import { makeCertificates } from './certificates.js';
import { brief, collect, configured } from './configured.js';

const { signal } = new AbortController();
const section = 'kubesvc.grpc.server.security';

function flagsFor(chain: string, key: string, ...more: string[]): string[] {
  return [`--${section}.enabled`, `--${section}.certificateChain=${chain}`, `--${section}.privateKey=${key}`, ...more];
}

test('without TLS there is nothing to say', async (t) => {
  t.same(await collect(examineTls(configured(), signal)), []);
});

test('a chain with its key and a trust store are fine, the key under a password too', async (t) => {
  const { chain, key, encryptedKey, authority } = makeCertificates(t);
  const trust = `--${section}.trustCertCollection=${authority}`;
  const rest = [
    '--server.ssl.enabled',
    `--server.ssl.certificateChain=${chain}`,
    `--server.ssl.privateKey=${encryptedKey}`,
  ];
  const flags = [...flagsFor(chain, key, trust), ...rest, '--server.ssl.privateKeyPassword=hunter2'];
  const findings = await collect(examineTls(configured(...flags), signal));
  t.same(brief(findings), ['ok server.ssl', `ok ${section}`, `ok ${section}.trustCertCollection`]);
  t.match(findings[1]?.found, /^CN=gateway is valid until /);
});

test('each mistake with the files is told apart', async (t) => {
  const made = makeCertificates(t);
  const other = makeCertificates(t);
  const [own, authority] = [made.read(made.chain), made.read(made.authority)];
  const wrongPassword = `--${section}.privateKeyPassword=hunter3`;
  const cases: [what: string, flags: string[], found: RegExp, remedy: RegExp][] = [
    ['no file', flagsFor('/no/such.pem', made.key), /^ENOENT.*\/no\/such\.pem/, /certificateChain/],
    ['no certificate', flagsFor(made.key, made.key), /^the chain holds no certificate$/, /certificateChain/],
    [
      'another key',
      flagsFor(made.chain, other.key),
      /^the private key does not belong to .*\(CN=gateway\)$/,
      /privateKey/,
    ],
    ['no key', flagsFor(made.chain, made.authority), /^the private key cannot be read/, /privateKeyPassword/],
    ['no password', flagsFor(made.chain, made.encryptedKey), /^the private key cannot be read/, /privateKeyPassword/],
    [
      'a wrong password',
      flagsFor(made.chain, made.encryptedKey, wrongPassword),
      /cannot be read/,
      /privateKeyPassword/,
    ],
    [
      'the authority first',
      flagsFor(made.write('a.pem', authority + own), made.key),
      /does not belong/,
      /first in the chain/,
    ],
    [
      'another authority',
      flagsFor(made.write('b.pem', own.replace(authority, '') + other.read(other.authority)), made.key),
      /^certificate 2 of the chain did not issue the one before it$/,
      /issuer/,
    ],
  ];
  for (const [what, flags, found, remedy] of cases) {
    const [finding] = await collect(examineTls(configured(...flags), signal));
    t.equal(finding?.status, 'failed', what);
    t.match(finding?.found, found, what);
    t.match(finding?.remedy, remedy, what);
    t.notMatch(JSON.stringify(finding), /hunter|BEGIN/, what);
  }
});

test('a certificate is renewed in time', async (t) => {
  const { chain, key } = makeCertificates(t, 60);
  const config = configured(...flagsFor(chain, key));
  const day = 86_400_000;
  for (const [days, status] of [
    [-2, 'failed'],
    [0.1, 'ok'],
    [29, 'ok'],
    [31, 'warning'],
    [59, 'warning'],
    [61, 'failed'],
  ] as const) {
    const [finding] = await collect(examineTls(config, signal, Date.now() + days * day));
    t.equal(finding?.status, status, `after ${String(days)} days: ${finding?.found ?? ''}`);
  }
});

test('a trust store without certificates, or with a server certificate, is no trust store', async (t) => {
  const made = makeCertificates(t);
  const empty = `--${section}.trustCertCollection=${made.key}`;
  const server = `--${section}.trustCertCollection=${made.chain}`;
  const results = await Promise.all(
    [empty, server].map((trust) => collect(examineTls(configured(...flagsFor(made.chain, made.key, trust)), signal))),
  );
  t.match(results[0]?.[1], { status: 'failed', found: 'the file has no certificate' });
  t.match(results[1]?.[1], { status: 'warning', found: 'CN=gateway is not a CA certificate' });
});
