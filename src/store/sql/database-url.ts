/** The forms of `sql.url`. */

import { GatewayError } from '../../core/errors.js';

export type DatabaseTarget =
  | {
      readonly kind: 'mysql' | 'postgresql';
      readonly host: string;
      readonly port: number;
      readonly database: string;
      readonly user: string;
      readonly password: string;
    }
  /** Embedded; no directory: in memory. */
  | { readonly kind: 'pglite'; readonly directory?: string };

const servers = new Map<string, { readonly kind: 'mysql' | 'postgresql'; readonly port: number }>([
  ['mysql:', { kind: 'mysql', port: 3306 }],
  ['mariadb:', { kind: 'mysql', port: 3306 }],
  ['postgresql:', { kind: 'postgresql', port: 5432 }],
  ['postgres:', { kind: 'postgresql', port: 5432 }],
]);

/**
 * Reads a URL as DatabaseOptions describes it.
 * @throws GatewayError configuration; never repeats the URL, which may hold a password
 */
export function parseDatabaseUrl(url: string): DatabaseTarget {
  if (url.startsWith('pglite:')) {
    const directory = url.slice('pglite:'.length);
    if (directory === 'memory' || directory === 'memory:') return { kind: 'pglite' };
    if (directory.startsWith('/') || directory.startsWith('.')) return { kind: 'pglite', directory };
    throw refused('name a directory after pglite: that starts with / or ., or write pglite:memory');
  }
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const server = parsed === null ? undefined : servers.get(parsed.protocol);
  if (parsed === null || server === undefined) {
    throw refused('it starts with mysql://, mariadb://, postgresql://, postgres:// or pglite:');
  }
  const database = decode(parsed.pathname.slice(1));
  if (parsed.hostname === '' || database === '') throw refused('write it as scheme://host:port/database');
  return {
    kind: server.kind,
    host: parsed.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: parsed.port === '' ? server.port : Number(parsed.port),
    database,
    user: decode(parsed.username),
    password: decode(parsed.password),
  };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw refused('a % in it must be written as %25');
  }
}

function refused(reason: string): GatewayError {
  return new GatewayError('configuration', `sql.url cannot be used: ${reason}`, { field: 'sql.url' });
}
