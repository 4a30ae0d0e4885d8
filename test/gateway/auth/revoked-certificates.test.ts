/** What openssl revokes, by lists that openssl wrote. */

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { RevokedCertificates } from '../../../src/gateway/auth/revoked-certificates.js';
import { Authority, type Issued } from '../security/authority.js';

const read = ({ certificate }: Issued): X509Certificate => new X509Certificate(readFileSync(certificate));

test('lists of two authorities in one file', (t) => {
  // The same serial numbers from both, and a name that is written another way in the list than in certificates.
  const [ours, theirs] = [new Authority(t, 'Our  Authority'), new Authority(t, 'theirs')];
  const issue = (authority: Authority) => [1, 2].map((n) => authority.issue({ subject: `/CN=agent-${String(n)}` }));
  const [[revoked, kept], [kept2, revoked2]] = [issue(ours), issue(theirs)] as [[Issued, Issued], [Issued, Issued]];
  const none = (ours.list(), readFileSync(ours.revocationList));
  t.notOk(RevokedCertificates.parse(none).has(read(revoked)), 'a list without entries');
  ours.revoke(revoked);
  theirs.revoke(revoked2);
  const lists = RevokedCertificates.parse(
    Buffer.concat([readFileSync(ours.revocationList), readFileSync(theirs.revocationList)]),
  );
  for (const issued of [revoked, revoked2]) t.ok(lists.has(read(issued)));
  for (const issued of [kept, kept2]) t.notOk(lists.has(read(issued)));
  t.end();
});

test('a list that is cut off', (t) => {
  const authority = new Authority(t);
  authority.revoke(authority.issue({ subject: '/CN=agent' }));
  const [begin, base64 = '', end] = readFileSync(authority.revocationList, 'latin1').split(
    /(?<=BEGIN X509 CRL-----)|(?=-----END)/u,
  );
  const cut = Buffer.from(base64, 'base64').subarray(0, -40).toString('base64');
  t.throws(() => RevokedCertificates.parse(Buffer.from(`${String(begin)}\n${cut}\n${String(end)}`)), {
    code: 'configuration',
  });
  t.end();
});
