/** Are the files of TLS there, do key and certificate belong together, and for how long? */

import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Config, TlsConfig } from '../../gateway/config/config.js';
import { examine, failed, ok, warning, type Finding, type CheckOutcome } from './finding.js';

const dayMs = 86_400_000;
const warnDays = 30;

/** One finding for each port that serves TLS, one for each trust store. */
export async function* examineTls(config: Config, signal: AbortSignal, now = Date.now()): AsyncGenerator<Finding> {
  for (const [section, tls] of [
    ['server.ssl', config.server.ssl],
    ['kubesvc.grpc.server.security', config.kubesvc.grpc.server.security],
  ] as const) {
    if (!tls.enabled) continue;
    const remedy = `Correct ${section}.certificateChain and ${section}.privateKey.`;
    yield await examine(section, remedy, signal, () => certificateOutcome(section, tls, now));
    const { trustCertCollection } = tls;
    if (trustCertCollection === undefined) continue;
    const key = `${section}.trustCertCollection`;
    yield await examine(key, `Correct ${key}.`, signal, () => trustOutcome(key, trustCertCollection, now));
  }
}

async function certificateOutcome(section: string, tls: TlsConfig, now: number): Promise<CheckOutcome> {
  const chain = await certificates(tls.certificateChain ?? '');
  const [leaf] = chain;
  if (leaf === undefined) return failed('the chain holds no certificate', `Correct ${section}.certificateChain.`);
  const key = await privateKey(tls);
  if (key === undefined) {
    const remedy = `Correct ${section}.privateKey, or ${section}.privateKeyPassword.`;
    return failed('the private key cannot be read: not PEM, or the wrong password', remedy);
  }
  if (!leaf.checkPrivateKey(key)) {
    return failed(
      `the private key does not belong to the first certificate of the chain (${nameOf(leaf)})`,
      `Give the key of that certificate in ${section}.privateKey, and put the certificate first in the chain.`,
    );
  }
  const broken = chain.findIndex((certificate, index) => {
    const next = chain[index + 1];
    // checkIssued() compares names and key identifiers alone.
    return next !== undefined && !(certificate.checkIssued(next) && certificate.verify(next.publicKey));
  });
  if (broken !== -1) {
    return failed(
      `certificate ${String(broken + 2)} of the chain did not issue the one before it`,
      `Order ${section}.certificateChain: the server's own first, each followed by its issuer.`,
    );
  }
  return validityOutcome(chain, now);
}

async function trustOutcome(key: string, file: string, now: number): Promise<CheckOutcome> {
  const authorities = await certificates(file);
  if (authorities.length === 0) return failed('the file has no certificate', `Correct ${key}.`);
  const other = authorities.find((certificate) => !certificate.ca);
  if (other !== undefined) {
    return warning(`${nameOf(other)} is not a CA certificate`, `Put only CA certificates into ${key}.`);
  }
  return validityOutcome(authorities, now);
}

/** The one that ends first decides. */
export function validityOutcome(chain: readonly X509Certificate[], now: number): CheckOutcome {
  const [first, ...rest] = chain;
  if (first === undefined) return failed('no certificate', 'Add one.');
  const end = (certificate: X509Certificate): number => Date.parse(certificate.validTo);
  const earliest = rest.reduce((a, b) => (end(b) < end(a) ? b : a), first);
  const future = chain.find((certificate) => Date.parse(certificate.validFrom) > now);
  if (future !== undefined) {
    return failed(`${nameOf(future)} is not valid before ${future.validFrom}`, 'Check the clock of this machine.');
  }
  const days = Math.floor((end(earliest) - now) / dayMs);
  const found = `${nameOf(earliest)} is valid until ${earliest.validTo}`;
  if (days < 0) return failed(found, 'Renew it; the gateway reads it again without a restart.');
  if (days < warnDays)
    return warning(`${found}, ${String(days)} days`, 'Renew it; the gateway reads it again without a restart.');
  return ok(found);
}

async function certificates(file: string): Promise<X509Certificate[]> {
  const text = await readFile(file, 'utf8');
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

async function privateKey({ privateKey: file, privateKeyPassword }: TlsConfig): Promise<KeyObject | undefined> {
  const key = await readFile(file ?? '', 'utf8');
  try {
    return createPrivateKey({ key, ...(privateKeyPassword === undefined ? {} : { passphrase: privateKeyPassword }) });
  } catch {
    // What OpenSSL says is about its decoders, and helps nobody.
    return undefined;
  }
}

function nameOf(certificate: X509Certificate): string {
  return certificate.subject.replaceAll('\n', ', ');
}
