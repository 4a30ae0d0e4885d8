/** PGlite: PostgreSQL inside this process, with one connection; for a first run and for tests. */

import { statfsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import type { PGliteOptions } from '@electric-sql/pglite';
import { PGliteDialect } from 'kysely';
import { GatewayError } from '../../core/errors.js';
import { lockDirectory } from './directory-lock.js';
import type { Engine } from './engine.js';
import { readInitialDatabase } from './initial-database.js';

/** int8 as a number: our largest values are times in ms and counters. JSON as the text that it is. */
export const typeParsers: Readonly<Record<number, (text: string) => unknown>> = {
  20: Number,
  114: (text) => text,
  3802: (text) => text,
};

/** Errors of a directory's file system, by the codes of Node.js and by the WASI numbers of PGlite's own errors. */
const failures: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  ...(['EACCES', 'EPERM', 2, 63] as const).map((code) => [code, 'this process may not write there'] as const),
  ...(['EROFS', 69] as const).map((code) => [code, 'its file system is read-only'] as const),
  ...(['ENOSPC', 51] as const).map((code) => [code, 'its disk is full'] as const),
  ...(['EDQUOT', 19] as const).map((code) => [code, 'its disk quota is used up'] as const),
  ...(['ENOTDIR', 'EEXIST', 54] as const).map((code) => [code, 'it is not a directory, or below a file'] as const),
  ...(['ENOTSUP', 'EOPNOTSUPP'] as const).map((code) => [code, 'its file system has no unix sockets'] as const),
]);

/** A segment of PostgreSQL's log of writes (WAL): the next one is made when the last one is used up. */
const segmentBytes = 16 << 20;

/** `directory`: where the data lives, one process at a time; absent: in memory. */
export function pgliteEngine(directory: string | undefined): Engine {
  let open = 0;
  const start = async () => {
    const { PGlite } = await import('@electric-sql/pglite');
    const unlock = directory === undefined ? undefined : await lockedDirectory(directory);
    const pglite = new PGlite({ ...(await placeOf(directory)), parsers: typeParsers });
    try {
      await pglite.waitReady;
    } catch (error) {
      await unlock?.();
      throw cannotOpen(error, directory);
    }
    const close = pglite.close.bind(pglite);
    pglite.close = () => close().finally(unlock);
    open = 1;
    return pglite;
  };
  return {
    kysely: new PGliteDialect({ pglite: start }),
    numbers: () => ({ size: open, idle: open }),
    packetBytes: () => Number.POSITIVE_INFINITY,
    ...(directory === undefined ? {} : { lack: () => lackOfRoom(directory) }),
  };
}

/** Only in memory, where nothing can be interrupted half-way, is a database not made from scratch. */
async function placeOf(directory: string | undefined): Promise<PGliteOptions> {
  if (directory !== undefined) return { dataDir: directory };
  const files = await readInitialDatabase();
  return files === undefined ? {} : { loadDataDir: files };
}

async function lockedDirectory(directory: string): Promise<() => Promise<void>> {
  try {
    await mkdir(directory, { recursive: true });
    return await lockDirectory(directory);
  } catch (error) {
    throw error instanceof GatewayError ? error : cannotOpen(error, directory);
  }
}

/** @param error of Node.js, or of PGlite's file system: an object with a number that is no Error */
function cannotOpen(error: unknown, directory: string | undefined): GatewayError {
  const { code, errno } = error as { readonly code?: unknown; readonly errno?: unknown };
  const reason = failures.get(code) ?? failures.get(errno);
  const where = directory === undefined ? 'in memory' : `in ${directory}`;
  if (reason !== undefined)
    return new GatewayError('dependency-unavailable', `sql.url: no database can be kept ${where}: ${reason}`, {
      cause: error,
      field: 'sql.url',
    });
  const cause = error instanceof Error ? error : new Error(`error ${String(errno)} of its file system`);
  return new GatewayError('internal', `sql.url: the database ${where} cannot be opened`, { cause, field: 'sql.url' });
}

/** On a full disk tables can be read, and rows changed in place, until new space is needed. */
function lackOfRoom(directory: string): string | undefined {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize < segmentBytes ? `the disk of ${directory} is full: less than 16 MiB are left` : undefined;
  } catch {
    return `the directory ${directory} is gone`;
  }
}
