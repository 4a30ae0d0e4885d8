/** The store on servers that are set up as others set them up: managed services, old defaults, strict administrators. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createConnection, type Connection as MySqlConnection } from 'mysql2/promise';
import { Client } from 'pg';
import { test, type Test } from 'tap';

import { silentLogger } from '../../../src/core/logger.js';
import { AccountStore } from '../../../src/store/accounts/accounts.js';
import { AssignmentStore } from '../../../src/store/assignments/assignments.js';
import type { DatabaseOptions } from '../../../src/store/sql/database-options.js';
import { openDatabase, type Database } from '../../../src/store/sql/database.js';
import { LockStore } from '../../../src/store/instances/locks.js';
import { migrate } from '../../../src/store/migrations/migrate.js';
import { OperationStore } from '../../../src/store/operations/operations.js';
import { postgresDatabase } from '../../services/databases.js';
import { startMariaDb } from '../../services/mariadb.js';
import { mySqlMissing, startMySql } from '../../services/mysql.js';
import type { Service } from '../../services/service.js';
import { waitFor } from '../../wait.js';
import { limits } from '../engines.js';
import { accounts, connection, finished, operation } from '../fixtures.js';

const signal = AbortSignal.timeout(240_000);

/** What a replica does with its tables, with text that quoting, escaping and comparing could get wrong. */
async function exercise(t: Test, database: Database): Promise<void> {
  await migrate(database, { logger: silentLogger, signal });
  // Names that collations take for the same.
  const names = ['Straße', 'prod', 'Prod', 'PROD', 'pröd', 'strasse', 'back\\slash', `quote'"\`||`].toSorted();
  const assignments = new AssignmentStore(database, { leaseMs: 60_000 });
  const link = connection('agent', 'replica', await assignments.nextEpoch());
  const claimed = await assignments.claim(link, accounts(...names), signal);
  t.strictSame(claimed.map(({ account }) => account).toSorted(), names, 'different accounts stay different');
  const listed = await new AccountStore(database).list('', 100);
  t.strictSame(
    listed.map(({ name }) => name),
    names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  );

  const operations = new OperationStore(database);
  const text = `it's "quoted" \\n \\' || %_ 𝄞 \u00e9`;
  const body = Buffer.from(Uint8Array.from({ length: 256 }, (_, index) => index));
  const stored = [operation('01', { account: text, body }), operation('02'), operation('03')];
  t.strictSame(
    (await operations.insert(stored, signal)).map(({ status }) => status),
    ['inserted', 'inserted', 'inserted'],
  );
  const [first] = await operations.unfinished({ limit: 1 }, signal);
  t.match(first, { id: '01', account: text });
  t.ok(body.equals(first?.body ?? Buffer.alloc(0)), 'bytes are the same');
  const left = first?.timeLeftMs ?? 0;
  t.ok(left > 20_000 && left <= 30_000, `deadlines are of the server's clock in UTC: ${String(left)} ms left`);
  t.ok(Math.abs((listed[0]?.lastUpdated ?? 0) - Date.now()) < 60_000, 'and so are times');
  const ends = [finished('01', { errorMessage: text }), finished('02', { finalOutcome: 'timed out' })];
  t.strictSame(await operations.finish(ends, signal), new Set(['01', '02']));
  t.match(await operations.find('01', signal), { errorMessage: text, finalOutcome: 'completed' });
  t.equal((await operations.find('02', signal))?.resultReceivedFromAgent, undefined, 'what is not known is not there');
  const page = await operations.list({ items: 10, page: 0 }, signal);
  t.strictSame(page.map(({ operationId }) => operationId).toSorted(), ['01', '02', '03']);
  t.equal(await operations.purge(0, 10, signal), 2);

  const locks = new LockStore(database);
  t.ok(await locks.acquire('lock', 'one', 60_000, signal));
  t.notOk(await locks.acquire('lock', 'two', 60_000, signal));
}

interface Server {
  readonly admin: MySqlConnection;
  /** An empty database of that name. */
  open(name: string, options?: Partial<DatabaseOptions>): Promise<Database>;
}

async function serverOf(t: Test, service: Service): Promise<Server> {
  t.teardown(() => service.stop());
  const admin = await createConnection({ uri: service.url, connectTimeout: 5_000 });
  t.teardown(() => admin.end());
  return {
    admin,
    open: async (name, options) => {
      await admin.query(`create database ${name}`);
      const database = openDatabase({ url: `${service.url}/${name}`, ...limits, ...options });
      t.teardown(() => database.close());
      return database;
    },
  };
}

/** Of the whole server, in force for connections that are made from then on, and what undoes it. */
const globals: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
  'ANSI_QUOTES and PIPES_AS_CONCAT': { sql_mode: "'ANSI_QUOTES,PIPES_AS_CONCAT'" },
  ONLY_FULL_GROUP_BY: { sql_mode: "'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES'" },
  NO_BACKSLASH_ESCAPES: { sql_mode: "'NO_BACKSLASH_ESCAPES'" },
  'no strict mode': { sql_mode: "''" },
  'a time zone in the west': { time_zone: "'-08:00'" },
  'a time zone in the east': { time_zone: "'+05:30'" },
  'REPEATABLE READ and SERIALIZABLE': { transaction_isolation: "'SERIALIZABLE'" },
  'innodb_lock_wait_timeout of a second': { innodb_lock_wait_timeout: 1 },
  latin1: { character_set_server: 'latin1' },
};

/** Sets a variable of the whole server until the test's end. */
async function setGlobal(t: Test, admin: MySqlConnection, variable: string, value: string | number): Promise<void> {
  const [rows] = await admin.query(`select @@global.${variable} as value`);
  await admin.query(`set global ${variable} = ${String(value)}`);
  const { value: former } = (rows as unknown as readonly [{ readonly value: string | number }])[0];
  t.teardown(() => admin.query(`set global ${variable} = ?`, [former]));
}

const engines: Readonly<Record<string, () => Promise<Service | string>>> = {
  MariaDB: () => startMariaDb(),
  'MySQL 8.0': async () => (await mySqlMissing('8.0')) ?? startMySql('8.0'),
  'MySQL 9': async () => (await mySqlMissing('9')) ?? startMySql('9'),
};

for (const [product, start] of Object.entries(engines)) {
  test(product, async (t) => {
    const service = await start();
    if (typeof service === 'string') {
      t.pass('a server to test on', { skip: service });
      return;
    }
    const { admin, open } = await serverOf(t, service);
    let count = 0;
    const next = (): string => `Variant_${String((count += 1))}`;

    for (const [name, settings] of Object.entries(globals)) {
      await t.test(name, async (t) => {
        for (const [key, value] of Object.entries(settings)) {
          // MariaDB before 11.1 has another name for it.
          const variable = key === 'transaction_isolation' && product === 'MariaDB' ? 'tx_isolation' : key;
          await setGlobal(t, admin, variable, value);
        }
        await exercise(t, await open(next()));
      });
    }

    const collations =
      product === 'MariaDB'
        ? ['utf8mb4_general_ci', 'utf8mb4_unicode_520_nopad_ci']
        : ['utf8mb4_0900_ai_ci', 'utf8mb4_0900_as_cs'];
    for (const collation of collations) {
      await t.test(`databases are made with ${collation}`, async (t) => {
        const database = await open(next());
        await admin.query(`alter database Variant_${String(count)} collate ${collation}`);
        await exercise(t, database);
      });
    }

    for (const megabytes of [1, 16]) {
      await t.test(`max_allowed_packet of ${String(megabytes)} MB`, async (t) => {
        await setGlobal(t, admin, 'max_allowed_packet', megabytes << 20);
        const database = await open(next());
        await exercise(t, database);
        const operations = new OperationStore(database);
        const many = Array.from({ length: 40 }, (_, index) =>
          operation(`many-${index}`, { body: Buffer.alloc(200_000, index) }),
        );
        await operations.insertNew(many, signal);
        t.equal(
          (await operations.unfinished({ limit: 100, after: 'm' }, signal)).length,
          40,
          'batches are cut to its size',
        );
        const large = operations.insertNew([operation('large', { body: Buffer.alloc(4 << 20, 1) })], signal);
        if (megabytes === 16) await large;
        else
          await t.rejects(large, {
            code: 'too-large',
            message: /max_allowed_packet is 1048576/,
            details: { unsent: true },
          });
      });
    }

    await t.test('idle connections that the server drops are replaced', async (t) => {
      await setGlobal(t, admin, 'wait_timeout', 1);
      const name = next();
      const database = await open(name);
      await exercise(t, database);
      const idle = async (): Promise<number> => {
        const [rows] = await admin.query('select id from information_schema.processlist where db = ?', [name]);
        return (rows as readonly unknown[]).length;
      };
      await waitFor(async () => (await idle()) === 0, { timeoutMs: 20_000, description: 'the server to drop them' });
      await new LockStore(database).acquire('another', 'one', 1_000, signal);
    });

    if (product === 'MariaDB') return;

    await t.test('super_read_only after a failover: the next statement takes another connection', async (t) => {
      const database = await open(next(), { maxPoolSize: 1 });
      await exercise(t, database);
      const locks = new LockStore(database);
      await admin.query('set global super_read_only = 1');
      await t.rejects(locks.acquire('late', 'one', 1_000, signal), {
        ...{ code: 'dependency-unavailable', message: /accepts no changes: it is read-only/ },
        details: { unsent: true },
      });
      t.equal(database.pool().size, 0, 'none is kept that leads to a replica');
      await admin.query('set global read_only = 0');
      t.ok(await locks.acquire('late', 'one', 1_000, signal));
    });

    await t.test('caching_sha2_password, with TLS and without, and servers that insist on TLS', async (t) => {
      await admin.query("create user 'sha2'@'%' identified with caching_sha2_password by 'secret'");
      await admin.query("grant all on *.* to 'sha2'@'%'");
      const [[{ directory }]] = (await admin.query('select @@datadir as directory')) as unknown as [
        [{ directory: string }],
      ];
      const ca = await readFile(join(directory, 'ca.pem'), 'utf8');
      const user = { user: 'sha2', password: 'secret', maxPoolSize: 1 };
      await exercise(t, await open(next(), user));
      // The first login of all has no cache to compare with.
      await admin.query('flush privileges');
      await exercise(t, await open(next(), { ...user, ssl: { ca } }));
      const wrong = await open(next(), { ...user, ssl: { rejectUnauthorized: true } });
      await t.rejects(wrong.ping(signal), { message: /certificate/ }, 'a certificate that nobody vouches for');
      await admin.query('set global require_secure_transport = 1');
      t.teardown(() => admin.query('set global require_secure_transport = 0'));
      const insecure = await open(next(), user);
      await t.rejects(insecure.ping(signal), {
        code: 'dependency-unavailable',
        message: /insecure transport are prohibited/,
      });
      const secure = await open(next(), { ...user, ssl: { ca } });
      await secure.ping(signal);
    });
  });
}

for (const version of ['8.0', '9'] as const) {
  test(`MySQL ${version} with lower_case_table_names=1`, async (t) => {
    const missing = await mySqlMissing(version);
    if (missing !== undefined) {
      t.pass('a server to test on', { skip: missing });
      return;
    }
    const { open } = await serverOf(t, await startMySql(version, { lowerCaseTableNames: true }));
    const database = await open('Gateway');
    await exercise(t, database);
    t.strictSame(await migrate(database, { logger: silentLogger, signal }), [], 'its own tables are found again');
  });
}

const postgresSettings: Readonly<Record<string, string>> = {
  'a time zone in the west': "timezone = 'America/Los_Angeles'",
  'backslashes in strings': 'standard_conforming_strings = off',
  'a short statement_timeout': "statement_timeout = '1ms'",
  SERIALIZABLE: "default_transaction_isolation = 'serializable'",
  'another form of dates': "datestyle = 'SQL, DMY'",
};

for (const [name, setting] of Object.entries(postgresSettings)) {
  test(`PostgreSQL: ${name}`, async (t) => {
    const { url } = await postgresDatabase(t);
    await inPostgres(url, `alter database ${new URL(url).pathname.slice(1)} set ${setting}`);
    const database = openDatabase({ url, ...limits });
    t.teardown(() => database.close());
    await exercise(t, database);
  });
}

test('PostgreSQL: default_transaction_read_only', async (t) => {
  const { url } = await postgresDatabase(t);
  const name = new URL(url).pathname.slice(1);
  const database = openDatabase({ url, ...limits, maxPoolSize: 1 });
  t.teardown(() => database.close());
  await exercise(t, database);
  await inPostgres(
    url,
    `alter database ${name} set default_transaction_read_only = on;
     select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}' and pid <> pg_backend_pid()`,
  );
  await t.rejects(new LockStore(database).acquire('late', 'one', 1_000, signal), {
    ...{ code: 'dependency-unavailable', message: /accepts no changes: it is read-only/ },
    details: { unsent: true },
  });
});

test('PostgreSQL: idle_session_timeout', async (t) => {
  const { url } = await postgresDatabase(t);
  const name = new URL(url).pathname.slice(1);
  await inPostgres(url, `alter database ${name} set idle_session_timeout = '500ms'`);
  const database = openDatabase({ url, ...limits });
  t.teardown(() => database.close());
  await exercise(t, database);
  await waitFor(() => database.pool().size === 0, { timeoutMs: 20_000, description: 'the server to drop them' });
  t.ok(await new LockStore(database).acquire('late', 'one', 1_000, signal));
});

async function inPostgres(url: string, statements: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    await client.query(statements);
  } finally {
    await client.end();
  }
}
