/** What `doctor` says of the database, against private servers and against nothing. */

import { createConnection } from 'mysql2/promise';
import { test } from 'tap';
import { clockOutcome, examineSql, versionOutcome } from '../../src/commands/doctor/sql.js';
import { silentLogger } from '../../src/core/logger.js';
import { databaseOptions } from '../../src/gateway/config/database-options.js';
import { openDatabase } from '../../src/store/sql/database.js';
import { migrate } from '../../src/store/migrations/migrate.js';
import { freePort } from '../free-port.js';
import { mariaDbDatabase, postgresDatabase } from '../services/databases.js';
import { brief, collect, configured } from './configured.js';

const { signal } = new AbortController();
const allOk = ['ok sql', 'ok sql version', 'ok sql clock', 'ok sql migrations', 'ok sql privileges'];

for (const [product, create] of [
  ['MariaDB', mariaDbDatabase],
  ['PostgreSQL', postgresDatabase],
] as const) {
  test(`${product}, before and after the tables are made`, async (t) => {
    const config = configured(`--sql.url=${(await create(t)).url}`);
    const before = await collect(examineSql(config, signal));
    t.same(brief(before), allOk, JSON.stringify(before));
    t.match(before[1]?.found, new RegExp(`^${product} \\d`));
    t.match(before[3]?.found, /^no tables yet/);

    const database = openDatabase(await databaseOptions(config, 'migration'));
    t.teardown(() => database.close());
    await migrate(database, { logger: silentLogger, signal });
    const after = await collect(examineSql(config, signal));
    t.same(brief(after), allOk);
    t.match(after[3]?.found, /^\d+ applied, the last one 0009-operation-indexes$/);
  });
}

test('a user who may not change tables, unless another one migrates', async (t) => {
  const { url } = await mariaDbDatabase(t);
  const name = new URL(url).pathname.slice(1);
  const admin = await createConnection({ uri: url, connectTimeout: 5_000 });
  t.teardown(async () => {
    await admin.query("drop user if exists 'reader'@'%', 'migrator'@'%'");
    await admin.end();
  });
  await admin.query("create user 'reader'@'%' identified by 'hunter2'");
  await admin.query(`grant select, insert, update, delete on ${name}.* to 'reader'@'%'`);
  await admin.query("create user 'migrator'@'%' identified by 'hunter3'");
  await admin.query(`grant all on ${name}.* to 'migrator'@'%'`);
  const flags = [`--sql.url=${url}`, '--sql.user=reader', '--sql.password=hunter2'];

  const reader = await collect(examineSql(configured(...flags), signal));
  t.match(reader[4], {
    check: 'sql privileges',
    status: 'failed',
    found: /CREATE command denied/,
    remedy: /sql\.user/,
  });
  const migrator = ['--sql.migration.user=migrator', '--sql.migration.password=hunter3'];
  const both = await collect(examineSql(configured(...flags, ...migrator), signal));
  t.same(brief(both), allOk);
  const wrong = await collect(examineSql(configured(...flags, '--sql.password=hunter4'), signal));
  t.match(wrong, [{ check: 'sql', status: 'failed', found: /Access denied/, remedy: /sql\.password/ }]);
  t.notMatch(JSON.stringify([reader, both, wrong]), /hunter/);
});

test('a database that is not there', async (t) => {
  const port = String(await freePort());
  for (const scheme of ['mysql', 'postgresql']) {
    const config = configured(`--sql.url=${scheme}://u:hunter2@127.0.0.1:${port}/x`);
    const findings = await collect(examineSql(config, signal));
    t.match(findings, [{ check: 'sql', status: 'failed', found: /ECONNREFUSED/, remedy: /sql\.url/ }]);
    t.equal(findings.length, 1);
    t.notMatch(JSON.stringify(findings), /hunter/);
  }
});

test('the embedded database is not opened', async (t) => {
  t.match(await collect(examineSql(configured(), signal)), [{ status: 'ok', found: /^embedded, in memory/ }]);
  const directory = t.testdir({ file: '' });
  const inside = await collect(examineSql(configured(`--sql.url=pglite:${directory}/new/data`), signal));
  t.match(inside, [{ status: 'ok', found: /^embedded, in / }]);
  const file = await collect(examineSql(configured(`--sql.url=pglite:${directory}/file`), signal));
  t.match(file, [{ status: 'failed', found: /file is not a directory$/ }]);
});

test('versions and clocks', (t) => {
  const server = {
    product: 'MySQL',
    version: '5.7.44',
    minimum: '8.0',
    supported: false,
    clockDifferenceMs: 0,
  } as const;
  t.same(versionOutcome(server), {
    status: 'failed',
    found: 'MySQL 5.7.44, older than 8.0',
    remedy: 'Use MySQL 8.0 or newer.',
  });
  t.equal(clockOutcome(-900, 10_000).status, 'ok');
  t.match(clockOutcome(3_000, 10_000), {
    status: 'warning',
    found: "this machine's clock is 3000 ms behind the database's",
  });
  t.match(clockOutcome(-6_000, 10_000), {
    status: 'failed',
    found: "this machine's clock is 6000 ms ahead of the database's",
  });
  t.end();
});
