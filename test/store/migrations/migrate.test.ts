/** Migrations, on every engine: many at once, adopting tables of Armory's plugin, refusing what cannot be adopted. */

import { sql } from 'kysely';
import { test } from 'tap';

import { GatewayError } from '../../../src/core/errors.js';
import { silentLogger } from '../../../src/core/logger.js';
import { AccountStore } from '../../../src/store/accounts/accounts.js';
import { AssignmentStore } from '../../../src/store/assignments/assignments.js';
import { openDatabase, type Database } from '../../../src/store/sql/database.js';
import { migrate } from '../../../src/store/migrations/migrate.js';
import { findTable } from '../../../src/store/migrations/introspect.js';
import { OperationStore } from '../../../src/store/operations/operations.js';
import { initialTables, migrationsTable } from '../../../src/store/sql/tables.js';
import { startMariaDb } from '../../services/mariadb.js';
import { limits, onEveryEngine } from '../engines.js';
import { accounts, connection, finished, operation } from '../fixtures.js';

const allMigrations = [
  ...['0001-initial', '0002-owners', '0003-processes', '0004-callers', '0005-account-tokens'],
  ...['0006-clouddriver-accounts', '0007-operation-objects', '0008-departures', '0009-operation-indexes'],
];

const signal = AbortSignal.timeout(120_000);
const options = { logger: silentLogger, signal };
const execute = (database: Database, statement: string) => database.run((db) => sql.raw(statement).execute(db));

async function dropAll(database: Database): Promise<void> {
  for (const { name } of [...initialTables, migrationsTable]) await execute(database, `drop table if exists ${name}`);
}

test('a server that is too old stops the start with one sentence', async (t) => {
  const old = await startMariaDb({ args: ['--version=10.5.29-MariaDB'] });
  t.teardown(() => old.stop());
  const database = openDatabase({ url: `${old.url}/mysql`, ...limits });
  t.teardown(() => database.close());
  await t.rejects(migrate(database, options), {
    ...{ code: 'configuration', details: { field: 'sql.url' } },
    message: 'the database is MariaDB 10.5.29; the gateway needs MariaDB 10.6 or newer',
  });
});

onEveryEngine(async (t, engine) => {
  const database = engine.open();
  t.beforeEach(() => dropAll(database));
  const mysql = engine.dialect === 'mysql';

  await t.test('ten replicas that start at once migrate once', async (t) => {
    const pools = Array.from({ length: 10 }, () => engine.open({ maxPoolSize: 2, connectionTimeoutMs: 30_000 }));
    const applied = await Promise.all(pools.map((pool) => migrate(pool, options)));
    t.strictSame(applied.flat(), allMigrations);
    t.strictSame(await migrate(database, options), []);
    for (const { name, columns, primaryKey } of initialTables) {
      const found = await database.run((db) => findTable(db, database.dialect, name));
      t.strictSame([...(found?.columns.keys() ?? [])], Object.keys(columns));
      t.strictSame(found?.primaryKey, primaryKey);
    }
  });

  await t.test('indexes that nothing needs are taken away', async (t) => {
    await migrate(database, options);
    const name = 'kubesvc_ops_history_processed_by_cd_id_start_time_idx';
    await execute(database, `create index ${name} on kubesvc_ops_history (processed_by_cd_id, start_time)`);
    await execute(database, `delete from kubesvc_migrations where name = '0009-operation-indexes'`);
    const indexes = async () => {
      const found = await database.run((db) => findTable(db, database.dialect, 'kubesvc_ops_history'));
      return found?.indexes.map((index) => index.name) ?? [];
    };
    t.ok((await indexes()).includes(name));
    t.strictSame(await migrate(database, options), ['0009-operation-indexes']);
    t.notOk((await indexes()).includes(name));
  });

  await t.test('a migration that was interrupted goes on where it stopped', async (t) => {
    await migrate(database, options);
    await execute(database, 'delete from kubesvc_migrations');
    await execute(database, 'drop table kubesvc_locks');
    await execute(database, 'alter table kubesvc_ops drop column deadline_time');
    t.strictSame(await migrate(database, options), allMigrations);
    t.strictSame(await new OperationStore(database).insert([operation('01')]), [{ id: '01', status: 'inserted' }]);
  });

  await t.test('tables that Armory made are adopted with their rows', async (t) => {
    await execute(
      database,
      mysql
        ? `create table kubesvc_accounts (name varchar(127) not null primary key, last_updated bigint, kube_version varchar(50),
             kube_host varchar(255), cert_fingerprint varchar(255), max_watch_age_seconds bigint, props json, zone_id varchar(100),
             dynamic bit(1) default 0, status varchar(20), definition json, error_message varchar(10) not null, failed_count int not null,
             connections int, owner varchar(20) not null) default charset utf8mb4 collate utf8mb4_general_ci`
        : `create table kubesvc_accounts (name varchar(127) not null primary key, last_updated bigint, kube_version varchar(50),
             kube_host varchar(255), cert_fingerprint varchar(255), max_watch_age_seconds bigint, props json, zone_id varchar(100),
             dynamic boolean default false, status varchar(20), definition jsonb, error_message varchar(10) not null,
             failed_count int not null, connections int, owner varchar(20) not null)`,
    );
    await execute(
      database,
      `create table kubesvc_assignments (id bigint not null primary key, account_name varchar(255) not null,
         cd_id varchar(255), connections int not null, caching ${mysql ? 'tinyint(1)' : 'boolean'} not null,
         reachable ${mysql ? 'tinyint(1)' : 'boolean'} not null, last_updated bigint not null, agent_id varchar(255) not null)`,
    );
    await execute(
      database,
      `create table kubesvc_ops_history (operation_id varchar(26) not null primary key, start_time int, end_time int,
         final_outcome varchar(20), account varchar(255))`,
    );
    const no = mysql ? '0' : 'false';
    await execute(
      database,
      `insert into kubesvc_accounts (name, last_updated, props, dynamic, status, owner, error_message, failed_count)
         values ('prod', 5, '{"kinds": []}', ${no}, 'ACTIVE', 'armory', '', 0), ('other', 5, null, ${no}, 'ACTIVE', 'armory', '', 0)`,
    );
    await execute(
      database,
      `insert into kubesvc_assignments (id, account_name, cd_id, connections, caching, reachable, last_updated, agent_id)
         values (7, 'prod', 'clouddriver-1', 1, ${mysql ? '1' : 'true'}, ${mysql ? '1' : 'true'}, 5, 'agent')`,
    );
    await execute(database, `insert into kubesvc_ops_history (operation_id, start_time) values ('01OLD', 5)`);

    t.strictSame(await migrate(database, options), allMigrations);
    const store = new AssignmentStore(database, { leaseMs: 60_000 });
    const old = (await store.find(['prod'])).get('prod');
    t.strictSame(old?.assignments, [{ agentId: 'agent', instanceId: 'clouddriver-1', epoch: 0, caching: true }]);
    const link = connection('agent', 'replica-1', await store.nextEpoch());
    const [claimed, , prod] = await store.claim(link, accounts('prod', 'Prod', 'new'), signal);
    t.strictSame(prod?.assignments, [{ agentId: 'agent', instanceId: 'replica-1', epoch: 1, caching: true }]);
    t.ok((prod?.version ?? 0) > (old?.version ?? 0));
    t.match(claimed, { account: 'Prod', assignments: [{ caching: true }] }, 'case-sensitive now');
    const more = accounts(...Array.from({ length: 20 }, (_, index) => `more-${index}`));
    t.equal((await store.claim(link, more, signal)).length, 20, 'ids go on after those that are there');
    await store.release(
      link,
      more.map(({ name }) => name),
      signal,
    );
    await new AccountStore(database).removeWithoutAgents(0, 100);
    t.match(await new AccountStore(database).find('prod'), {
      namespaces: ['default'],
      connections: 1,
      dynamic: false,
      failedCount: 0,
    });
    t.strictSame(
      (await new AccountStore(database).list('', 10)).map(({ name }) => name),
      ['Prod', 'new', 'prod'],
    );

    const operations = new OperationStore(database);
    t.match(await operations.find('01OLD'), { operationId: '01OLD', startTime: 5, digest: '' });
    t.strictSame(await operations.insert([operation('01OLD')]), [{ id: '01OLD', status: 'finished', digest: '' }]);
    const long = 'x'.repeat(100);
    t.strictSame(await operations.finish([finished(long)]), new Set([long]), 'longer ids than before');
  });

  const refusals = [
    {
      what: 'a column of another type',
      make: [
        'create table kubesvc_ops_history (operation_id varchar(26) not null primary key, start_time varchar(30))',
      ],
      says: /^column start_time of table kubesvc_ops_history cannot be adopted: .*rename the table and start again$/,
    },
    {
      what: 'rows that are twice there',
      make: [
        'create table kubesvc_assignments (id bigint not null primary key, account_name varchar(255), agent_id varchar(255))',
        `insert into kubesvc_assignments (id, account_name, agent_id) values (1, 'prod', 'a'), (2, 'prod', 'a')`,
      ],
      says: /^column account_name, agent_id of table kubesvc_assignments cannot be adopted: .*must be unique/,
    },
    {
      what: 'another primary key',
      make: ['create table kubesvc_ops (operation varchar(26) not null primary key)'],
      says: /^column operation of table kubesvc_ops cannot be adopted: it is part of the primary key/,
    },
  ];
  for (const { what, make, says } of refusals) {
    await t.test(`${what} stops the start with one sentence`, async (t) => {
      for (const statement of make) await execute(database, statement);
      await t.rejects(migrate(database, options), { code: 'configuration', message: says });
      await dropAll(database);
      t.strictSame(await migrate(database, options), allMigrations, 'and once it is away, the start succeeds');
    });
  }

  await t.test('a database that a newer version changed is refused, if that says so', async (t) => {
    await migrate(database, options);
    const no = mysql ? '0' : 'false';
    await execute(
      database,
      `insert into kubesvc_migrations (name, applied_time, breaking) values ('0900-soft', 1, ${no})`,
    );
    t.strictSame(await migrate(database, options), []);
    await execute(
      database,
      `update kubesvc_migrations set breaking = ${mysql ? '1' : 'true'} where name = '0900-soft'`,
    );
    await t.rejects(migrate(database, options), { code: 'configuration', message: /0900-soft.*run that version/ });
  });

  if (engine.name !== 'pglite') {
    await t.test('waiting for another replica has a deadline', async (t) => {
      await database.db.connection().execute(async (other) => {
        t.ok(await database.dialect.tryLock(other, 'kubesvc-migrations'));
        const error = await migrate(database, { ...options, lockTimeoutMs: 300 }).catch((thrown: unknown) => thrown);
        t.ok(error instanceof GatewayError && error.code === 'dependency-unavailable');
        t.match(error, { message: /another instance/ });
        await database.dialect.unlock(other, 'kubesvc-migrations');
      });
      t.strictSame(await migrate(database, options), allMigrations);
    });
  }
});
