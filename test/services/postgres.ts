/** A private PostgreSQL server for tests. */

import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { Service, type ServiceKind, type ServiceOptions } from './service.js';

/** The environment variable by which `npm test` hands the run's shared server to test files. */
export const postgresVariable = 'TEST_POSTGRES_URL';

/** Debian keeps the server's programs outside PATH, one directory per major version; the newest is taken. */
function program(name: string): string {
  const root = '/usr/lib/postgresql';
  const version = readdirSync(root)
    .filter((entry) => /^\d+$/.test(entry))
    .sort((a, b) => Number(b) - Number(a))[0];
  if (version === undefined) throw new Error(`no PostgreSQL under ${root}`);
  return join(root, version, 'bin', name);
}

/** The server refuses to run as root; Debian's package makes a user for it. */
function serverUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

function url(port: number, database = 'postgres'): string {
  return `postgresql://app@127.0.0.1:${port}/${database}`;
}

function postgres(): ServiceKind {
  const runAs = serverUser();
  return {
    name: 'postgres',
    ...(runAs === undefined ? {} : { runAs }),
    initialize: (directory) => [
      ...[program('initdb'), '-D', directory, '-U', 'app', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale=C'],
    ],
    command: (directory, port) => [
      ...[program('postgres'), '-D', directory, '-p', String(port), '-k', dirname(directory)],
      ...['-c', 'listen_addresses=127.0.0.1', '-c', 'max_connections=200'],
      // Survives the death of the process, which is what tests do to it; only a dead machine would lose data.
      ...['-c', 'fsync=off', '-c', 'full_page_writes=off'],
    ],
    // "Fast": open connections are closed; SIGTERM would wait for them.
    stopSignal: 'SIGINT',
    probe: async (port) => {
      const client = new Client({ connectionString: url(port), connectionTimeoutMillis: 2_000 });
      client.on('error', () => undefined);
      await client.connect();
      await client.end();
    },
    url,
  };
}

/** Starts a PostgreSQL server with a superuser `app` that needs no password; `url` names the database `postgres`. */
export async function startPostgres(options: ServiceOptions = {}): Promise<Service> {
  return Service.start(postgres(), options);
}
