/** Certificates, keys and trust stores change while the gateway runs: their files are read again, streams stay open. */

import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import type { TlsConfig } from '../config/config.js';
import type { Metrics } from '../telemetry/metrics.js';
import { readTls, type TlsMaterial } from './material.js';
import { certificatesIn } from './trust-anchor.js';

export interface TlsRenewal {
  /** For logs and metrics: "agents", "rest". */
  readonly name: string;
  /** Told the new material; what it throws is logged and changes nothing. */
  readonly port: { renew(material: TlsMaterial): void };
  readonly config: TlsConfig;
  /** The section's key, for errors. */
  readonly section: string;
  /** The material that the port was opened with. */
  readonly material: TlsMaterial;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/**
 * Reading a few small files is cheap, and detects changes that watching misses: Kubernetes changes a mounted Secret by
 * replacing a symbolic link of a directory above the file.
 */
const checkMs = 2_000;
const dayMs = 86_400_000;
const warnDays = 30;

/** The earliest expiry of the certificate and the CA certificates that are sent with it, Unix ms. */
function earliestExpiry(chain: Buffer): number {
  return Math.min(...certificatesIn(chain).map(({ validTo }) => Date.parse(validTo)));
}

/**
 * Checks the files until the signal aborts. Files that cannot be used, or not together (as between the writes of a
 * certificate and its key), change nothing: the port keeps its current ones.
 */
export async function renewTls(renewal: TlsRenewal, signal: AbortSignal): Promise<void> {
  const { name, port, config, section, material, logger, metrics } = renewal;
  let current = material;
  let warnedAt = Number.NEGATIVE_INFINITY;
  let refused: string | undefined;
  const look = (): void => {
    const expiresAt = earliestExpiry(current.cert);
    metrics.certificateExpiry.set({ port: name }, expiresAt / 1_000);
    const days = Math.floor((expiresAt - Date.now()) / dayMs);
    if (days >= warnDays || performance.now() - warnedAt < dayMs) return;
    warnedAt = performance.now();
    logger.warn({ port: name, days }, `certificate of ${section} expires soon or has expired`);
  };
  const failed = (error: unknown): void => {
    metrics.tlsRenewals.inc({ port: name, outcome: 'refused' });
    const reason = messageOf(error);
    if (reason !== refused)
      logger.error({ port: name, error: reason }, 'TLS files changed and cannot be used; keeping the old ones');
    refused = reason;
  };
  look();
  await repeat({ pauseMs: () => checkMs, failed }, signal, async () => {
    const next = await readTls(config, section);
    refused = undefined;
    if (next !== undefined && !isDeepStrictEqual(next, current)) {
      port.renew(next);
      current = next;
      warnedAt = Number.NEGATIVE_INFINITY;
      metrics.tlsRenewals.inc({ port: name, outcome: 'taken' });
      logger.info({ port: name }, 'TLS files changed; new connections use them');
    }
    look();
  });
}
