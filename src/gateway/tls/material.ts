/** Reads the files that a TLS section names. */

import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureVersion } from 'node:tls';
import { GatewayError, messageOf } from '../../core/errors.js';
import type { TlsConfig } from '../config/config.js';

export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly passphrase?: string;
  readonly ca?: Buffer;
  readonly crl?: Buffer;
  readonly requestCert: boolean;
  readonly rejectUnauthorized: boolean;
  readonly ciphers?: string;
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
}

/**
 * @param section the section's key, for errors
 * @returns undefined where TLS is off
 * @throws GatewayError `configuration` naming the key of the file that cannot be used
 */
export async function readTls(config: TlsConfig, section: string): Promise<TlsMaterial | undefined> {
  if (!config.enabled) return undefined;
  const { clientAuth, ciphers, protocols, privateKeyPassword, trustCertCollection, revocationList } = config;
  const material: TlsMaterial = {
    cert: await read(config.certificateChain, `${section}.certificateChain`),
    key: await read(config.privateKey, `${section}.privateKey`),
    ...(privateKeyPassword === undefined ? {} : { passphrase: privateKeyPassword }),
    ...(trustCertCollection === undefined
      ? {}
      : { ca: await read(trustCertCollection, `${section}.trustCertCollection`) }),
    ...(revocationList === undefined ? {} : { crl: await read(revocationList, `${section}.revocationList`) }),
    requestCert: clientAuth !== 'NONE',
    rejectUnauthorized: clientAuth === 'REQUIRE',
    ...(ciphers.length === 0 ? {} : { ciphers: ciphers.join(':') }),
    minVersion: protocols.length === 0 || protocols.includes('TLSv1.2') ? 'TLSv1.2' : 'TLSv1.3',
    maxVersion: protocols.length === 0 || protocols.includes('TLSv1.3') ? 'TLSv1.3' : 'TLSv1.2',
  };
  const { crl, ...pair } = material;
  try {
    createSecureContext(pair);
  } catch (error) {
    throw new GatewayError(
      'configuration',
      `${section}: certificate chain and private key cannot be used together: ${messageOf(error)}`,
      { field: section, cause: error },
    );
  }
  try {
    if (crl !== undefined) createSecureContext({ ca: pair.ca, crl });
  } catch (error) {
    const field = `${section}.revocationList`;
    throw new GatewayError('configuration', `${field}: no certificate revocation list in it`, { field, cause: error });
  }
  try {
    if (material.ca !== undefined) new X509Certificate(material.ca);
  } catch (error) {
    // OpenSSL takes a file without certificates for an empty trust store.
    const field = `${section}.trustCertCollection`;
    throw new GatewayError('configuration', `${field}: no certificate in it`, { field, cause: error });
  }
  return material;
}

async function read(path: string | undefined, key: string): Promise<Buffer> {
  if (path === undefined)
    throw new GatewayError('configuration', `${key}: expected a file, because TLS is on`, { field: key });
  try {
    return await readFile(path);
  } catch (error) {
    throw new GatewayError('configuration', `${key}: ${path} cannot be read: ${messageOf(error)}`, {
      field: key,
      cause: error,
    });
  }
}
