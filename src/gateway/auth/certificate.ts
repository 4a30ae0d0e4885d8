/** The identity in a client certificate. The port has already verified that a trusted CA issued it. */

import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { GatewayError } from '../../core/errors.js';
import { formatDistinguishedName, parseDistinguishedName, type Attribute } from './distinguished-name.js';

export interface CertificateNames {
  /** In the order of the certificate. */
  readonly subject: readonly Attribute[];
  readonly dnsNames: readonly string[];
  readonly uris: readonly string[];
  /** When it expires, Unix ms. */
  readonly expiresAt: number;
}

/**
 * @param der a certificate as TLS hands it over
 * @throws GatewayError `unauthenticated` if it cannot be read
 */
export function readCertificate(der: Buffer): CertificateNames {
  const certificate = parse(der);
  // According to the types it is text, but without a subject it is undefined.
  const text = (certificate.subject as string | undefined) ?? '';
  const subject = text === '' ? [] : parseDistinguishedName(text);
  if (typeof subject === 'string') throw unreadable(subject);
  const names = alternativeNames(certificate.subjectAltName ?? '');
  const ofKind = (kind: string) => names.filter((name) => name.kind === kind).map(({ value }) => value);
  return { subject, dnsNames: ofKind('DNS'), uris: ofKind('URI'), expiresAt: Date.parse(certificate.validTo) };
}

/** DER; absent if TLS is off or the client presented none. The port has already refused untrusted certificates. */
export function certificateOf(socket: Socket): Buffer | undefined {
  const { encrypted, getPeerCertificate } = socket as Partial<TLSSocket>;
  if (encrypted !== true || typeof getPeerCertificate !== 'function') return undefined;
  return (getPeerCertificate.call(socket) as { readonly raw?: Buffer } | null)?.raw;
}

function parse(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (error) {
    throw unreadable('not a certificate', error);
  }
}

function unreadable(reason: string, cause?: unknown): GatewayError {
  return new GatewayError('unauthenticated', `the certificate cannot be read: ${reason}`, {
    field: 'certificate',
    cause,
  });
}

/**
 * The name for holders of such a certificate, the same after a renewal: its SPIFFE id if it has one
 * (https://spiffe.io, X.509-SVID section 2), otherwise the subject, otherwise its DNS names. '' if it has none of
 * these.
 */
export function nameOfCertificate({ subject, dnsNames, uris }: CertificateNames): string {
  const spiffe = uris.filter((uri) => uri.startsWith('spiffe://'));
  if (spiffe.length === 1 && spiffe[0] !== undefined) return spiffe[0];
  if (subject.length > 0) return `x509:${formatDistinguishedName(subject)}`;
  return dnsNames.length === 0 ? '' : `dns:${[...dnsNames].sort().join(',')}`;
}

/** `DNS:a, URI:b`; a name with a separator is quoted as JSON (Node.js, X509Certificate.subjectAltName). */
function alternativeNames(text: string): { readonly kind: string; readonly value: string }[] {
  return [...text.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/gu)].map(([, kind = '', written = '']) => ({
    kind,
    value: written.startsWith('"') ? (JSON.parse(written) as string) : written,
  }));
}
