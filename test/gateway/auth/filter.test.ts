/** Filters and distinguished names: those of real certificates, and whatever else may stand in one. */

import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'tap';
import { nameOfCertificate, readCertificate } from '../../../src/gateway/auth/certificate.js';
import { formatDistinguishedName, parseDistinguishedName } from '../../../src/gateway/auth/distinguished-name.js';
import { parseFilter, pattern } from '../../../src/gateway/auth/filter.js';

/** A certificate that openssl makes. */
function makeCertificate(
  t: { testdir(content: Record<string, never>): string },
  subject: string,
  ...extensions: string[]
): Buffer {
  const directory = t.testdir({});
  const extension = extensions.flatMap((text) => ['-addext', text]);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'key'];
  const args = ['req', '-x509', ...key, '-out', 'crt', '-days', '1', '-subj', subject, ...extension];
  execFileSync('openssl', args, { cwd: directory, stdio: 'pipe', timeout: 20_000 });
  return new X509Certificate(readFileSync(join(directory, 'crt'))).raw;
}

function matches(filter: string, der: Buffer): boolean {
  const parsed = parseFilter(filter);
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed({ certificate: readCertificate(der) });
}

test('the subject of a certificate, in both orders and in part', (t) => {
  const der = makeCertificate(t, '/C=US/O=Acme, Inc+OU=x/OU=y/CN=a=b "q" z/UID=me/emailAddress=a@b/DC=corp');
  const yes = [
    'CN=a\\=b \\"q\\" z,OU=x,OU=y,O=Acme\\, Inc,C=US',
    'C=US,O=Acme\\, Inc,CN=a=b \\"q\\" z',
    ' c = US , o = "Acme, Inc" ',
    'O=Acme\\2C Inc',
    'OID.2.5.4.10=Acme*',
    'E=a@b',
    'EMAILADDRESS=*@b,userid=me',
    'OU=y,OU=x',
    'OU=*,OU=*',
    'OU=x+O=Acme*',
    'DC=corp',
  ];
  for (const filter of yes) t.ok(matches(filter, der), filter);
  const no = [
    'CN=a',
    'O=acme\\, inc',
    'OU=x,OU=x',
    'OU=*,OU=*,OU=*',
    'O=Acme',
    'C=U',
    'CN=*,O=Other',
    'DNS:*',
    'URI:*',
  ];
  for (const filter of no) t.notOk(matches(filter, der), filter);
  t.equal(
    nameOfCertificate(readCertificate(der)),
    'x509:DC=corp,emailAddress=a@b,UID=me,CN=a\\=b \\"q\\" z,OU=y,O=Acme\\, Inc,OU=x,C=US',
  );
  t.end();
});

test('alternative names', (t) => {
  const der = makeCertificate(t, '/CN=x', 'subjectAltName=DNS:agent.Example.com,URI:spiffe://td/ns/a/sa/b,IP:1.2.3.4');
  for (const filter of ['DNS:agent.example.com', 'dns:*.EXAMPLE.com', 'URI:spiffe://td/ns/*', 'uri:*/sa/b'])
    t.ok(matches(filter, der), filter);
  for (const filter of ['DNS:example.com', 'URI:spiffe://td/ns', 'URI:SPIFFE://*', 'DNS:1.2.3.4'])
    t.notOk(matches(filter, der), filter);
  t.equal(nameOfCertificate(readCertificate(der)), 'spiffe://td/ns/a/sa/b');
  const nameless = makeCertificate(t, '/', 'subjectAltName=DNS:b,DNS:a');
  t.equal(nameOfCertificate(readCertificate(nameless)), 'dns:a,b');
  t.equal(nameOfCertificate(readCertificate(makeCertificate(t, '/'))), '');
  t.end();
});

test('a name cannot pretend to be another one', (t) => {
  const attributes = ['/CN=agent\nO=Acme', '/CN=agent\\,O\\=Acme', '/CN=agent + O=Acme', '/CN=agent, DNS:admin'];
  for (const subject of attributes) {
    const der = makeCertificate(t, subject);
    t.notOk(matches('O=Acme', der), JSON.stringify(subject));
    t.notOk(matches('DNS:admin', der), JSON.stringify(subject));
    t.notMatch(nameOfCertificate(readCertificate(der)), /\n/u);
  }
  // OpenSSL's own notation for a name with a separator in it.
  const config = 'subjectAltName=@names\n[names]\nURI.1=spiffe://td/a\\, DNS:admin';
  const der = makeCertificate(t, '/CN=x', config);
  t.notOk(matches('DNS:admin', der), 'a URI with a DNS name in it');
  t.end();
});

test('what is no filter says why', (t) => {
  for (const [text, reason] of [
    ['', 'it is empty'],
    ['agent', 'expected TYPE=VALUE, found "agent"'],
    ['CN=a,', 'it ends with a separator'],
    ['CN=', 'CN has no value'],
    ['C N=a', 'expected an attribute type such as CN, found "c n"'],
    ['DNS:', 'expected something after "DNS:"'],
    ['claim:sub', 'expected claim:NAME=VALUE'],
    ['claim:=x', 'expected claim:NAME=VALUE'],
  ] as const)
    t.equal(parseFilter(text), reason, text);
  t.end();
});

test('tokens and their claims', (t) => {
  const claims = {
    sub: 'system:serviceaccount:spinnaker:agent',
    groups: ['a', 'b'],
    'kubernetes.io': { namespace: 'spinnaker' },
    verified: true,
    nothing: null,
  };
  const holds = (text: string, identity: { token?: string; claims?: Record<string, unknown> }): boolean => {
    const filter = parseFilter(text);
    return typeof filter !== 'string' && filter(identity);
  };
  for (const text of [
    'claim:sub=system:serviceaccount:*:agent',
    'claim:groups=b',
    'claim:kubernetes.io/namespace=spinnaker',
    'claim:verified=true',
  ])
    t.ok(holds(text, { claims }), text);
  for (const text of ['claim:sub=agent', 'claim:groups=c', 'claim:nothing=*', 'claim:toString=*', 'claim:sub/length=*'])
    t.notOk(holds(text, { claims }), text);
  t.ok(holds('token:team-a', { token: 'team-a' }));
  t.notOk(holds('token:team-a', { claims: { sub: 'team-a' } }), 'a claim is no static token');
  t.notOk(holds('claim:sub=team-a', { token: 'team-a' }), 'nor the other way round');
  t.end();
});

test('properties', (t) => {
  const value = fc.string({ minLength: 1, unit: 'binary' }).filter((text) => !/[\p{Cs}\0]/u.test(text));
  const attribute = fc.record({ type: fc.constantFrom('cn', 'o', 'ou', 'emailaddress', '1.2.3'), value });
  t.same(parseDistinguishedName(formatDistinguishedName([{ type: 'cn', value: 'a\u0082\n' }])), [
    { type: 'cn', value: 'a\u0082\n' },
  ]);
  fc.assert(
    fc.property(fc.array(attribute, { minLength: 1, maxLength: 5 }), (attributes) => {
      const text = formatDistinguishedName(attributes);
      t.equal(/[\n\r]/u.test(text), false);
      t.same(parseDistinguishedName(text), attributes.toReversed(), text);
    }),
  );
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', 'b', '*') }),
      fc.string({ unit: fc.constantFrom('a', 'b') }),
      (glob, text) => {
        const expected = new RegExp(`^${glob.replaceAll('*', '.*')}$`, 'u').test(text);
        t.equal(pattern(glob)(text), expected, `${glob} on ${text}`);
      },
    ),
    { numRuns: 500 },
  );
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseFilter(text)));
  t.end();
});
