/** Turns the `sql` section into options of the store. */

import { readFile } from 'node:fs/promises';
import { GatewayError, messageOf } from '../../core/errors.js';
import type { DatabaseOptions } from '../../store/sql/database-options.js';
import type { Config } from './schema.js';

/**
 * @param purpose `migration`: with the URL and user of `sql.migration` if they are set
 * @throws GatewayError `configuration` when a PEM file cannot be read
 */
export async function databaseOptions(
  { sql }: Pick<Config, 'sql'>,
  purpose: 'service' | 'migration',
): Promise<DatabaseOptions> {
  const { migration } = sql;
  const other = purpose === 'migration' && migration.user !== undefined;
  const user = other ? migration.user : sql.user;
  // A migration user without its own password has none: it never gets the password of `sql.user`.
  const password = other ? migration.password : sql.password;
  const { maxPoolSize, connectionTimeoutMs, queryTimeoutMs } = sql;
  return {
    url: purpose === 'migration' ? (migration.url ?? sql.url) : sql.url,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    maxPoolSize,
    connectionTimeoutMs,
    queryTimeoutMs,
    ...(sql.ssl.enabled ? { ssl: await tlsOf(sql.ssl) } : {}),
  };
}

async function tlsOf(ssl: Config['sql']['ssl']): Promise<NonNullable<DatabaseOptions['ssl']>> {
  const [ca, cert, key] = await Promise.all([
    pem('trustCertCollection', ssl.trustCertCollection),
    pem('certificateChain', ssl.certificateChain),
    pem('privateKey', ssl.privateKey),
  ]);
  return {
    rejectUnauthorized: ssl.verify,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

async function pem(name: string, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const field = `sql.ssl.${name}`;
    throw new GatewayError('configuration', `${field}: the file cannot be read: ${messageOf(error)}`, { field });
  }
}
