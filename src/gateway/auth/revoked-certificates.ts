/**
 * The certificates that a revocation list names (RFC 5280, section 5). A handshake checks the list itself, once; this
 * is for connections that were already open.
 */

import type { X509Certificate } from 'node:crypto';
import { fromBER, Integer, ObjectIdentifier, Sequence, Set as SetOf, type AsnType } from 'asn1js';
import { GatewayError } from '../../core/errors.js';

/** An entry has at least three nodes; by default the parser stops at ten thousand. */
const limits = { maxNodes: 10_000_000 };

export class RevokedCertificates {
  /** As keyOf() writes them. */
  readonly #keys: ReadonlySet<string>;
  /** Serial numbers of all issuers: they rule out nearly all certificates without parsing them. */
  readonly #serialNumbers: ReadonlySet<string>;

  private constructor(keys: readonly string[]) {
    this.#keys = new Set(keys);
    this.#serialNumbers = new Set(keys.map((key) => key.slice(0, key.indexOf(' '))));
  }

  /**
   * @param pem as OpenSSL accepts it: one or several lists
   * @throws GatewayError `configuration` if one cannot be read
   */
  static parse(pem: Buffer): RevokedCertificates {
    const lists = pem.toString('latin1').matchAll(/-----BEGIN X509 CRL-----([^-]+)-----END X509 CRL-----/gu);
    return new RevokedCertificates([...lists].flatMap(([, base64 = '']) => keysOfList(Buffer.from(base64, 'base64'))));
  }

  /** Whether the certificate, or a CA certificate above it, is revoked. */
  has(certificate: X509Certificate): boolean {
    const { issuerCertificate: issuer } = certificate;
    if (this.#serialNumbers.has(decimal(certificate.serialNumber)) && this.#keys.has(keyOfCertificate(certificate.raw)))
      return true;
    // A root issues itself.
    return issuer !== undefined && issuer.fingerprint256 !== certificate.fingerprint256 && this.has(issuer);
  }
}

/** @param hexadecimal as OpenSSL writes it: `0A1B`, `-01` of an authority that forgets a leading zero */
function decimal(hexadecimal: string): string {
  const isNegative = hexadecimal.startsWith('-');
  const size = BigInt(`0x${isNegative ? hexadecimal.slice(1) : hexadecimal}`);
  return String(isNegative ? -size : size);
}

/**
 * CertificateList; its TBSCertList is version?, signature, issuer, thisUpdate, nextUpdate?, revokedCertificates?, ...
 */
function keysOfList(der: Buffer): string[] {
  const [list] = childrenOf(parse(der));
  const parts = childrenOf(list);
  const issuer = parts[0] instanceof Integer ? 2 : 1;
  const name = nameOf(parts[issuer]);
  const entries = parts.slice(issuer + 1).find((part) => part instanceof Sequence);
  return childrenOf(entries).map((entry) => keyOf(name, childrenOf(entry)[0]));
}

/** Certificate; its TBSCertificate is version (tagged), serialNumber, signature, issuer, ... */
function keyOfCertificate(der: Buffer): string {
  const [certificate] = childrenOf(parse(der));
  const parts = childrenOf(certificate);
  const serial = parts[0] instanceof Integer ? 0 : 1;
  return keyOf(nameOf(parts[serial + 2]), parts[serial]);
}

function keyOf(issuer: string, serial: AsnType | undefined): string {
  if (!(serial instanceof Integer)) throw unreadable('a serial number is not an INTEGER');
  return `${serial.toBigInt().toString()} ${issuer}`;
}

/** Names of one authority may be written as different types of text, in another case or spacing (RFC 5280, 7.1). */
function nameOf(name: AsnType | undefined): string {
  const attributes = childrenOf(name).map((set) =>
    childrenOf(set)
      .map((attribute) => {
        const [type, value] = childrenOf(attribute);
        if (!(type instanceof ObjectIdentifier)) throw unreadable('a name has an attribute without a type');
        const text = String((value?.valueBlock as { value?: unknown } | undefined)?.value);
        return [type.getValue(), text.trim().replaceAll(/\s+/gu, ' ').toLowerCase()];
      })
      .sort(),
  );
  return JSON.stringify(attributes);
}

function parse(der: Buffer): AsnType {
  const { result, offset } = fromBER(new Uint8Array(der), limits);
  if (offset === -1) throw unreadable(result.error);
  return result;
}

function childrenOf(parent: AsnType | undefined): AsnType[] {
  return parent instanceof Sequence || parent instanceof SetOf ? parent.valueBlock.value : [];
}

function unreadable(reason: string): GatewayError {
  return new GatewayError('configuration', `a certificate or a revocation list cannot be read: ${reason}`);
}
