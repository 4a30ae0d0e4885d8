/** The CA that a client must trust to verify a server's certificate, as far as the server knows it itself. */

import { X509Certificate } from 'node:crypto';

/** PEM, as the files of a TLS section have it. */
export interface ServerCertificates {
  /** The certificate and its chain. */
  readonly cert: Buffer | string;
  readonly ca?: Buffer | string | undefined;
}

/**
 * @returns PEM; undefined: neither file has the self-signed certificate at the end of the chain. It may be a CA that
 *   every client trusts.
 */
export function trustAnchor({ cert, ca = '' }: ServerCertificates): string | undefined {
  const chain = certificatesIn(cert);
  const known = [...chain, ...certificatesIn(ca)];
  let [current] = chain;
  // Longer than any chain: two certificates that have signed each other end it.
  for (let length = 0; current !== undefined && length <= known.length; length += 1) {
    const certificate = current;
    if (isIssuedBy(certificate, certificate)) return certificate.toString();
    current = known.find((other) => other !== certificate && isIssuedBy(certificate, other));
  }
  return undefined;
}

/** Of PEM, in its order. */
export function certificatesIn(pem: Buffer | string): X509Certificate[] {
  const blocks = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/gu) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
