/**
 * The files of a PGlite database that is migrated and holds nothing yet. `npm run build` makes them
 * (../migrations/write-initial-database.ts): to make them at each start (initdb in WebAssembly) takes several times as much CPU
 * time as to read them. The npm package @electric-sql/pglite-prepopulatedfs has none for most versions of PGlite.
 */

import { readFile } from 'node:fs/promises';

/** Beside this module, but only in a build. */
export const initialDatabaseFile = new URL('initial-database.tar.gz', import.meta.url);

/** @returns undefined: this is no build, and a database has to be made */
export async function readInitialDatabase(): Promise<Blob | undefined> {
  try {
    return new Blob([await readFile(initialDatabaseFile)]);
  } catch {
    return undefined;
  }
}
