/** Who a client's certificate says it is. The port has checked by then that a trusted authority says so. */

import { X509Certificate } from 'node:crypto';
import { GatewayError } from '../../core/errors.js';
import { formatDistinguishedName, parseDistinguishedName, type Attribute } from './distinguished-name.js';

export interface CertificateNames {
  /** In the order of the certificate. */
  readonly subject: readonly Attribute[];
  readonly dnsNames: readonly string[];
  readonly uris: readonly string[];
  /** Until when it is valid, Unix ms. */
  readonly expiresAt: number;
}

/**
 * @param der a certificate as TLS hands it over
 * @throws GatewayError `unauthenticated` when it cannot be read
 */
export function readCertificate(der: Buffer): CertificateNames {
  const certificate = parse(der);
  // The types say that it is text; without a subject it is undefined.
  const text = (certificate.subject as string | undefined) ?? '';
  const subject = text === '' ? [] : parseDistinguishedName(text);
  if (typeof subject === 'string') throw unreadable(subject);
  const names = alternativeNames(certificate.subjectAltName ?? '');
  const ofKind = (kind: string) => names.filter((name) => name.kind === kind).map(({ value }) => value);
  return { subject, dnsNames: ofKind('DNS'), uris: ofKind('URI'), expiresAt: Date.parse(certificate.validTo) };
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
 * One name for whoever shows such a certificate, the same for a renewed one: its SPIFFE id where it has one
 * (https://spiffe.io, X.509-SVID section 2), else the subject, else its DNS names. '' when it has none of them.
 */
export function nameOfCertificate({ subject, dnsNames, uris }: CertificateNames): string {
  const spiffe = uris.filter((uri) => uri.startsWith('spiffe://'));
  if (spiffe.length === 1 && spiffe[0] !== undefined) return spiffe[0];
  if (subject.length > 0) return `x509:${formatDistinguishedName(subject)}`;
  return dnsNames.length === 0 ? '' : `dns:${[...dnsNames].sort().join(',')}`;
}

/** `DNS:a, URI:b`; what contains a separator is quoted as JSON (Node.js, X509Certificate.subjectAltName). */
function alternativeNames(text: string): { readonly kind: string; readonly value: string }[] {
  return [...text.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/gu)].map(([, kind = '', written = '']) => ({
    kind,
    value: written.startsWith('"') ? (JSON.parse(written) as string) : written,
  }));
}
