/**
 * A fresh database for one test. `npm test` starts one server of each kind for the whole run and names them in the
 * environment; a test file that is run alone starts its own on first use, which ends with the process.
 */

import { randomBytes } from 'node:crypto';
import { createConnection } from 'mysql2/promise';
import { Client } from 'pg';
import { t as root } from 'tap';
import { mariaDbVariable, startMariaDb } from './mariadb.js';
import { mySqlVariables, startMySql, type MySqlVersion } from './mysql.js';
import { postgresVariable, startPostgres } from './postgres.js';
import { startRedis } from './redis.js';
import type { Service } from './service.js';

/** What a database needs of a test: tap's `t` has it. */
export interface TestWithTeardown {
  teardown(release: () => Promise<void>): unknown;
}

export interface TestDatabase {
  /** With the database's name as path, for `mysql2`, `pg` or the gateway's own settings. */
  readonly url: string;
}

// One server per process, however many tests ask at the same time.
const ownServers = new Map<string, Promise<string>>();

function serverUrl(variable: string, start: () => Promise<Service>): Promise<string> {
  const given = process.env[variable];
  if (given !== undefined) return Promise.resolve(given);
  const running =
    ownServers.get(variable) ??
    start().then((service) => {
      // So that the process can come to its end; tap's root test ends then.
      service.unref();
      root.teardown(() => service.stop());
      return service.url;
    });
  ownServers.set(variable, running);
  return running;
}

function withDatabase(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

function uniqueName(): string {
  return `test_${randomBytes(8).toString('hex')}`;
}

/** A new, empty MariaDB database, dropped at the test's end; `url` is `mysql://root@127.0.0.1:PORT/NAME`. */
export async function mariaDbDatabase(t: TestWithTeardown): Promise<TestDatabase> {
  return newDatabase(t, await serverUrl(mariaDbVariable, startMariaDb));
}

/** The same of a MySQL, where `mySqlMissing` says that there is one. */
export async function mySqlDatabase(t: TestWithTeardown, version: MySqlVersion): Promise<TestDatabase> {
  return newDatabase(t, await serverUrl(mySqlVariables[version], () => startMySql(version)));
}

async function newDatabase(t: TestWithTeardown, server: string): Promise<TestDatabase> {
  const name = uniqueName();
  const administer = async (statement: string): Promise<void> => {
    const connection = await createConnection({ uri: server, connectTimeout: 10_000 });
    await connection.query('set lock_wait_timeout = 10');
    await connection.query(statement);
    await connection.end();
  };
  await administer(`create database ${name} character set utf8mb4`);
  t.teardown(() => administer(`drop database ${name}`));
  return { url: withDatabase(server, name) };
}

/** A new, empty PostgreSQL database, dropped at the test's end; `url` is `postgresql://app@127.0.0.1:PORT/NAME`. */
export async function postgresDatabase(t: TestWithTeardown): Promise<TestDatabase> {
  const server = await serverUrl(postgresVariable, startPostgres);
  const name = uniqueName();
  const administer = async (statement: string): Promise<void> => {
    const client = new Client({ connectionString: server, connectionTimeoutMillis: 10_000, query_timeout: 10_000 });
    await client.connect();
    await client.query(statement);
    await client.end();
  };
  await administer(`create database ${name}`);
  t.teardown(() => administer(`drop database ${name} with (force)`));
  return { url: withDatabase(server, name) };
}

/** A Redis of the test's own (50 ms), so that it may be flushed, listed and killed; stopped at the test's end. */
export async function redisDatabase(t: TestWithTeardown): Promise<TestDatabase> {
  const service = await startRedis();
  t.teardown(() => service.stop());
  return { url: service.url };
}
