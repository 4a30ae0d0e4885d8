/** Errors of the drivers, as a table: which may be temporary, and what a caller is told. */

import { GatewayError } from '../../core/errors.js';

/**
 * - `conflict`: another transaction interfered; the same one succeeds when it is repeated.
 * - `connection`: the connection is lost or was never made; it is unknown whether the last statement ran.
 * - `read-only`, `full`: the server accepts no changes: nothing was done. Another connection may lead to another
 *   server.
 * - `too-large`: the statement is larger than the server accepts: nothing was done.
 * - `timeout`: no answer in time; trying again at once would only double the wait.
 * - `refused`: the server rejects the login; trying again does not help.
 * - `other`: the statement itself is at fault.
 */
export type SqlErrorKind =
  'conflict' | 'connection' | 'read-only' | 'full' | 'too-large' | 'timeout' | 'refused' | 'other';

/** Codes of MySQL and MariaDB (names), PostgreSQL (SQLSTATE) and Node's sockets. */
const kinds = new Map<string, SqlErrorKind>([
  ['ER_LOCK_DEADLOCK', 'conflict'],
  ['ER_LOCK_WAIT_TIMEOUT', 'conflict'],
  ['ER_CHECKREAD', 'conflict'], // MariaDB 11: "record has changed since last read"
  ['40001', 'conflict'], // serialization_failure
  ['40P01', 'conflict'], // deadlock_detected
  ['55P03', 'conflict'], // lock_not_available, by lock_timeout
  ['PROTOCOL_CONNECTION_LOST', 'connection'],
  ['PROTOCOL_SEQUENCE_TIMEOUT', 'timeout'],
  ['ER_SERVER_SHUTDOWN', 'connection'],
  ['ER_CLIENT_INTERACTION_TIMEOUT', 'connection'], // by wait_timeout
  ['ER_CON_COUNT_ERROR', 'connection'],
  ['ER_STATEMENT_TIMEOUT', 'timeout'],
  ['ER_QUERY_TIMEOUT', 'timeout'],
  // The server has become a read-only replica: a new connection may find the new primary.
  ['ER_OPTION_PREVENTS_STATEMENT', 'read-only'], // by read_only and super_read_only
  ['ER_READ_ONLY_MODE', 'read-only'], // by innodb_read_only
  ['ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION', 'read-only'],
  ['25006', 'read-only'], // read_only_sql_transaction
  ['ER_DISK_FULL', 'full'],
  ['ER_DISK_FULL_NOWAIT', 'full'],
  ['ER_RECORD_FILE_FULL', 'full'],
  ['53100', 'full'], // disk_full
  ['ER_NET_PACKET_TOO_LARGE', 'too-large'],
  ['53300', 'connection'], // too_many_connections
  ['57014', 'timeout'], // query_canceled, by statement_timeout
  ['57P01', 'connection'], // admin_shutdown
  ['57P02', 'connection'], // crash_shutdown
  ['57P03', 'connection'], // cannot_connect_now
  ['57P05', 'connection'], // idle_session_timeout
  ['25P03', 'connection'], // idle_in_transaction_session_timeout
  ['ECONNREFUSED', 'connection'],
  ['ECONNRESET', 'connection'],
  ['EPIPE', 'connection'],
  ['ETIMEDOUT', 'timeout'],
  ['EHOSTUNREACH', 'connection'],
  ['ENETUNREACH', 'connection'],
  ['ENOTFOUND', 'connection'],
  ['EAI_AGAIN', 'connection'],
  ['ER_ACCESS_DENIED_ERROR', 'refused'],
  ['ER_DBACCESS_DENIED_ERROR', 'refused'],
  ['ER_BAD_DB_ERROR', 'refused'],
  ['ER_HOST_NOT_PRIVILEGED', 'refused'],
  ['ER_NOT_SUPPORTED_AUTH_MODE', 'refused'],
  ['ER_SECURE_TRANSPORT_REQUIRED', 'refused'],
  ['HANDSHAKE_NO_SSL_SUPPORT', 'refused'],
  ['HANDSHAKE_SSL_ERROR', 'refused'],
  ['28000', 'refused'], // invalid_authorization_specification
  ['28P01', 'refused'], // invalid_password
  ['3D000', 'refused'], // invalid_catalog_name
]);

/** Drivers throw these without a code of their own; the first match counts. */
const messages: readonly (readonly [RegExp, SqlErrorKind])[] = [
  [/^Query read timeout|connection timeout$|^timeout exceeded when trying to connect/, 'timeout'],
  [/^Connection terminated|^Client has encountered a connection error|connection is in closed state$/, 'connection'],
  // "The server does not support SSL connections", and refusals by TLS itself.
  [/SSL|certificate/, 'refused'],
];

export function sqlErrorKind(error: unknown): SqlErrorKind {
  const { code, message } = describe(error);
  const kind = kinds.get(code);
  if (kind !== undefined) return kind;
  if (code.startsWith('08')) return 'connection';
  return messages.find(([pattern]) => pattern.test(message))?.[1] ?? 'other';
}

/** Whether the row, or one of its unique values, already exists. */
export function isDuplicateKey(error: unknown): boolean {
  const { code } = describe(error);
  return code === 'ER_DUP_ENTRY' || code === '23505';
}

/** Nothing listens there, or the host cannot be reached. */
const unreached: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

const refusals: ReadonlySet<SqlErrorKind> = new Set(['read-only', 'full', 'too-large']);

/** Whether nothing can have been done: no statement reached the server, or it refused all. */
export function nothingDone(error: unknown): boolean {
  if (error instanceof GatewayError) return error.code === 'overloaded';
  return unreached.has(describe(error).code) || refusals.has(sqlErrorKind(error));
}

/** Whether the connection leads to a server that accepts no changes (any longer), so that a new one is needed. */
export function isReadOnly(error: unknown): boolean {
  return sqlErrorKind(error) === 'read-only';
}

/**
 * The error that the rest of the gateway sees. The driver's own error is never passed on: mysql2's holds the whole
 * statement with its values, pg's the failing row, and both could be secrets.
 * @param address host:port, or the name of the engine
 * @param unsent no attempt can have done anything
 */
export function toStoreError(error: unknown, address: string, unsent = false): unknown {
  if (error instanceof GatewayError || (error instanceof Error && error.name === 'AbortError')) return error;
  const { code, message } = describe(error);
  const cause = new Error(`${code} ${message}`.trim());
  const kind = sqlErrorKind(error);
  if (kind === 'other')
    return new GatewayError('internal', 'the database refused a statement; see the log of this instance', {
      cause,
    });
  if (kind === 'conflict') {
    return new GatewayError('overloaded', 'too many transactions change the same rows; try again', {
      cause,
      retryAfterMs: 1_000,
    });
  }
  if (kind === 'too-large') {
    return new GatewayError('too-large', `too large for the database: ${message}`, { cause, unsent });
  }
  const details = { cause, field: 'sql.url', retryAfterMs: 1_000, ...(unsent ? { unsent } : {}) };
  if (kind === 'read-only' || kind === 'full') {
    const why = kind === 'full' ? 'its disk is full' : 'it is read-only: a replica, or a primary before a failover';
    return new GatewayError('dependency-unavailable', `the database at ${address} accepts no changes: ${why}`, details);
  }
  const reason = kind === 'timeout' ? 'no answer in time' : message;
  const text = `the database at ${address} is not available: ${reason || code}`;
  return new GatewayError('dependency-unavailable', text, details);
}

function describe(error: unknown): { readonly code: string; readonly message: string } {
  if (!(error instanceof Error)) return { code: '', message: String(error) };
  // Happy eyeballs: one error for each address that was tried.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  if (first instanceof Error) return describe(first);
  const code: unknown = 'code' in error ? error.code : undefined;
  return { code: typeof code === 'string' ? code : '', message: (error.message.split('\n')[0] ?? '').slice(0, 300) };
}

/** Our own code found that another transaction interfered: the transaction is repeated. */
export function conflict(message: string): Error {
  return Object.assign(new Error(message), { code: '40001' });
}
