/** PGlite: PostgreSQL inside this process, with one connection; for a first run and for tests. */

import { mkdir } from 'node:fs/promises';
import { PGliteDialect } from 'kysely';

import type { Engine } from './engine.js';

/** int8 as a number: our largest values are times in ms and counters. JSON as the text that it is. */
export const typeParsers: Readonly<Record<number, (text: string) => unknown>> = {
  20: Number,
  114: (text) => text,
  3802: (text) => text,
};

/** `directory`: where the data lives; absent: in memory. */
export function pgliteEngine(directory: string | undefined): Engine {
  let open = 0;
  const start = async () => {
    const { PGlite } = await import('@electric-sql/pglite');
    if (directory !== undefined) await mkdir(directory, { recursive: true });
    const pglite = new PGlite({ ...(directory === undefined ? {} : { dataDir: directory }), parsers: typeParsers });
    await pglite.waitReady;
    open = 1;
    return pglite;
  };
  return {
    kysely: new PGliteDialect({ pglite: start }),
    numbers: () => ({ size: open, idle: open }),
    packetBytes: () => Number.POSITIVE_INFINITY,
  };
}
