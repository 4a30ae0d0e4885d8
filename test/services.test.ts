/** The test services themselves: what other tests rely on. */

import { createConnection } from 'mysql2/promise';
import { Client } from 'pg';
import { Redis } from 'ioredis';
import { existsSync } from 'node:fs';
import { test } from 'tap';
import { mariaDbDatabase, postgresDatabase, redisDatabase } from './services/databases.js';
import { startMariaDb } from './services/mariadb.js';
import { startPostgres } from './services/postgres.js';
import { startRedis } from './services/redis.js';

async function mysqlQuery(url: string, statement: string): Promise<unknown> {
  const connection = await createConnection({ uri: url, connectTimeout: 1_000 });
  try {
    return (await connection.query(statement))[0];
  } finally {
    connection.destroy();
  }
}

async function pgQuery(url: string, statement: string): Promise<unknown> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 1_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

function redisClient(url: string): Redis {
  const client = new Redis(url, { retryStrategy: () => null, commandTimeout: 300 });
  client.on('error', () => undefined);
  return client;
}

test('committed rows of MariaDB survive kill and restart', async (t) => {
  const service = await startMariaDb();
  t.teardown(() => service.stop());
  const url = `${service.url}/kept`;
  await mysqlQuery(service.url, 'create database kept');
  await mysqlQuery(url, 'create table t (n int)');
  await mysqlQuery(url, 'insert into t values (7)');
  const before = service.pid;
  await service.kill();
  await t.rejects(mysqlQuery(url, 'select n from t'), { code: 'ECONNREFUSED' });
  await service.restart();
  t.not(service.pid, before);
  t.same(await mysqlQuery(url, 'select n from t'), [{ n: 7 }]);
});

test('committed rows of PostgreSQL survive kill and restart', async (t) => {
  const service = await startPostgres();
  t.teardown(() => service.stop());
  await pgQuery(service.url, 'create table t (n int)');
  await pgQuery(service.url, 'insert into t values (7)');
  await service.kill();
  await t.rejects(pgQuery(service.url, 'select n from t'), { code: 'ECONNREFUSED' });
  await service.restart();
  t.same(await pgQuery(service.url, 'select n from t'), [{ n: 7 }]);
});

test('a paused server keeps its connections and does not answer until it is resumed', async (t) => {
  const service = await startRedis();
  const client = redisClient(service.url);
  t.teardown(async () => {
    client.disconnect();
    await service.stop();
  });
  t.equal(await client.ping(), 'PONG');
  service.pause();
  await t.rejects(client.ping(), { message: 'Command timed out' });
  service.resume();
  t.equal(await client.ping(), 'PONG');
});

test('pausing PostgreSQL stops the process of an open connection too', async (t) => {
  const service = await startPostgres();
  const client = new Client({ connectionString: service.url, query_timeout: 300 });
  t.teardown(async () => {
    await client.end();
    await service.stop();
  });
  await client.connect();
  service.pause();
  await t.rejects(client.query('select 1'), { message: 'Query read timeout' });
  service.resume();
});

test('stop ends the process and removes its data', async (t) => {
  const service = await startRedis();
  const { pid } = service;
  t.ok(existsSync(`/proc/${pid}`));
  await service.stop();
  await service.stop();
  t.notOk(existsSync(`/proc/${pid}`));
});

test('a server that cannot start says why', async (t) => {
  await t.rejects(startRedis({ args: ['--no-such-option', 'x'] }), {
    message: /ended before it was ready[^]*no-such-option/,
  });
});

test('each database is new, and dropped at the end of its test', async (t) => {
  const urls: string[] = [];
  await t.test('two databases of each kind', async (inner) => {
    for (const [create, query] of [
      [mariaDbDatabase, mysqlQuery],
      [postgresDatabase, pgQuery],
    ] as const) {
      for (let index = 0; index < 2; index += 1) {
        const { url } = await create(inner);
        await query(url, 'create table t (n int)');
        urls.push(url);
      }
    }
  });
  t.equal(new Set(urls).size, 4);
  for (const url of urls) {
    const query = url.startsWith('mysql:') ? mysqlQuery : pgQuery;
    await t.rejects(query(url, 'select 1'), { message: /unknown database|does not exist/i });
  }
});

test('each Redis is a server of its own', async (t) => {
  const [one, two] = await Promise.all([redisDatabase(t), redisDatabase(t)]);
  t.not(one.url, two.url);
  const client = redisClient(one.url);
  t.teardown(() => {
    client.disconnect();
  });
  t.equal(await client.ping(), 'PONG');
});
