/** The database servers that cached objects are measured on, and what differs between them for the bench. */

import { readFile } from 'node:fs/promises';
import { Client } from 'pg';
import { startMariaDb } from '../test/services/mariadb.js';
import { mySqlMissing, startMySql } from '../test/services/mysql.js';
import { startPostgres } from '../test/services/postgres.js';
import type { Service } from '../test/services/service.js';
import { createDatabase } from './servers.js';

export interface BenchEngine {
  readonly name: string;
  readonly start: () => Promise<Service>;
  /** A new, empty database. @returns its URL */
  readonly createDatabase: (serverUrl: string, name: string) => Promise<string>;
  /** Why it cannot be run on this machine; undefined: it can. */
  readonly missing: () => Promise<string | undefined>;
}

/** All get room for the indexes in memory, and a log that does not end every few seconds. */
export const innodbArguments = ['--innodb-buffer-pool-size=1G', '--innodb-log-file-size=512M'];
const postgresArguments = ['-c', 'shared_buffers=1GB', '-c', 'max_wal_size=8GB', '-c', 'wal_compression=off'];

export const mariaDbEngine: BenchEngine = {
  name: 'MariaDB',
  start: () => startMariaDb({ args: innodbArguments }),
  createDatabase,
  missing: () => Promise.resolve(undefined),
};

export const allEngines: readonly BenchEngine[] = [
  mariaDbEngine,
  {
    name: 'MySQL 8.0',
    start: () => startMySql('8.0', { args: innodbArguments }),
    createDatabase,
    missing: () => mySqlMissing('8.0'),
  },
  {
    name: 'PostgreSQL',
    start: () => startPostgres({ args: postgresArguments }),
    createDatabase: createPostgresDatabase,
    missing: () => Promise.resolve(undefined),
  },
];

async function createPostgresDatabase(serverUrl: string, name: string): Promise<string> {
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  await client.query(`create database ${name}`);
  await client.end();
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

const ticksPerSecond = 100;

/**
 * User and system time of a process so far and of its children, also of those that have ended: PostgreSQL has one for each
 * connection. In s; /proc counts in ticks of 10 ms (proc(5)).
 */
export async function processCpuSeconds(pid: number): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  const ticks = await Promise.all([
    ticksOf(pid, true),
    ...children
      .split(' ')
      .filter((child) => child.trim() !== '')
      .map((child) => ticksOf(Number(child), false)),
  ]);
  return ticks.reduce((sum, each) => sum + each, 0) / ticksPerSecond;
}

async function ticksOf(pid: number, withEnded: boolean): Promise<number> {
  // A child may have ended since the list was read; its parent counts it from now on.
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [, rest = ''] = text.split(') ');
  const fields = rest.split(' ').map(Number);
  // utime, stime, cutime and cstime are fields 14 to 17.
  const counted = fields.slice(11, withEnded ? 15 : 13);
  return counted.reduce((sum, each) => sum + each, 0);
}
