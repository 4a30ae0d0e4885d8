/** A database that takes no changes refuses them: callers are told so, and that nothing was done. */

import { createConnection } from 'mysql2/promise';
import { Client } from 'pg';
import { test, type Test } from 'tap';
import { ulid } from 'ulid';
import { examineSql } from '../../../src/commands/doctor/sql.js';
import { brief, collect, configured } from '../../commands/configured.js';
import { postgresDatabase } from '../../services/databases.js';
import { startMariaDb } from '../../services/mariadb.js';
import { mySqlMissing, startMySql } from '../../services/mysql.js';
import type { Service } from '../../services/service.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway } from '../running-gateway.js';

const { signal } = new AbortController();

/** How one server is made to take no changes, and to take them again. */
interface Server {
  readonly url: string;
  readonly execute: (statement: string) => Promise<unknown>;
  readonly readOnly: readonly string[];
  readonly writable: readonly string[];
  /** As of a full disk: what the server says is the server's, why it says it is not. */
  readonly full: readonly string[];
  readonly empty: readonly string[];
}

async function mysqlServer(
  t: Test,
  service: Service,
  variable: string,
  fullErrors: readonly number[],
): Promise<Server> {
  t.teardown(() => service.stop());
  const admin = await createConnection({ uri: service.url, connectTimeout: 5_000, multipleStatements: true });
  t.teardown(() => admin.end());
  await admin.query("create database gateway; create user 'app'@'%' identified by 'secret'");
  await admin.query("grant all on gateway.* to 'app'@'%'");
  return {
    url: `mysql://app:secret@127.0.0.1:${String(service.port)}/gateway`,
    execute: (statement) => admin.query(statement),
    readOnly: [`set global ${variable} = 1`],
    // That ends super_read_only, too.
    writable: ['set global read_only = 0'],
    full: fullErrors.map(
      (errno) =>
        `create or replace trigger gateway.full before insert on gateway.kubesvc_ops for each row signal sqlstate 'HY000' set mysql_errno = ${String(errno)}, message_text = 'full'`,
    ),
    empty: ['drop trigger gateway.full'],
  };
}

const servers: Readonly<Record<string, (t: Test) => Promise<Server | string>>> = {
  'MySQL 8.0': async (t) => {
    const missing = await mySqlMissing('8.0');
    if (missing !== undefined) return missing;
    const service = await startMySql('8.0', { args: ['--log-bin-trust-function-creators=1'] });
    const server = await mysqlServer(t, service, 'super_read_only', [1021, 1114]);
    // MySQL does not know OR REPLACE for triggers.
    const full = server.full.map(
      (statement) => `drop trigger if exists gateway.full; ${statement.replace(' or replace', '')}`,
    );
    return { ...server, full };
  },
  MariaDB: async (t) => mysqlServer(t, await startMariaDb(), 'read_only', [1021, 1114]),
  PostgreSQL: async (t) => {
    const { url } = await postgresDatabase(t);
    const name = new URL(url).pathname.slice(1);
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
    await client.connect();
    t.teardown(() => client.end());
    const others = `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}' and pid <> pg_backend_pid()`;
    return {
      url,
      execute: (statement) => client.query(statement),
      readOnly: [`alter database ${name} set default_transaction_read_only = on`, others],
      writable: [
        'set default_transaction_read_only = off',
        `alter database ${name} reset default_transaction_read_only`,
      ],
      full: [
        `create function is_full() returns trigger language plpgsql as $$ begin raise exception 'full' using errcode = '53100'; end $$;
         create trigger is_full before insert on kubesvc_ops for each row execute function is_full()`,
      ],
      empty: ['drop trigger is_full on kubesvc_ops'],
    };
  },
};

for (const [name, start] of Object.entries(servers)) {
  test(`${name} that takes no changes`, async (t) => {
    const server = await start(t);
    if (typeof server === 'string') {
      t.pass('a server to test on', { skip: server });
      return;
    }
    const { url, execute, readOnly, writable, full, empty } = server;
    const lease = { 'kubesvc.instances.heartbeatMs': 500, 'kubesvc.instances.leaseMs': 4_000 };
    const gateway = await startGateway(t, { 'sql.url': url, ...lease });
    const agent = await RawAgent.register(t, gateway.agentsAddress, { agentId: 'agent', accounts: [{ name: 'prod' }] });
    const ready = async (): Promise<boolean> => (await gateway.request('/readyz')).status === 200;
    const restart = { account: 'prod', restart: { object: { kind: 'Deployment', name: 'web' } } };
    const given = { ...restart, id: ulid() };

    await t.test('a full disk is 503 and unsent', async (t) => {
      for (const statement of full) {
        await execute(statement);
        for (const operation of [restart, given]) {
          const answer = await gateway.operate(operation);
          t.match(answer, { status: 503, body: { detail: /accepts no changes: its disk is full/u, field: 'sql.url' } });
          t.equal(answer.headers.get('retry-after'), '1');
        }
      }
      for (const statement of empty) await execute(statement);
    });

    await t.test('a read-only server is 503 and unsent, and readiness and doctor say it', async (t) => {
      for (const statement of readOnly) await execute(statement);
      // One that was sent on a connection that ends now is not known to be unsent.
      await waitFor(async () => (await gateway.operate(restart)).status !== 504, { timeoutMs: 20_000 });
      for (const operation of [restart, given]) {
        const answer = await gateway.operate(operation);
        t.match(answer, { status: 503, body: { detail: /accepts no changes: it is read-only/u, field: 'sql.url' } });
        t.equal(answer.headers.get('retry-after'), '1');
      }
      const findings = await collect(examineSql(configured(`--sql.url=${url}`), signal));
      t.same(brief(findings).at(-1), 'failed sql privileges');
      t.match(findings.at(-1), {
        found: /accepts no changes: it is read-only/u,
        remedy: /Point sql\.url at the primary/u,
      });
      await waitFor(async () => !(await ready()), { timeoutMs: 20_000, description: 'not to be ready' });
      const { body } = await gateway.request('/readyz');
      t.match(body, { checks: { sql: { ok: false, detail: /within the lease.*it is read-only/u } } });
      for (const statement of writable) await execute(statement);
      await waitFor(ready, { timeoutMs: 20_000, description: 'to be ready again' });
    });

    await t.test('afterwards the same id is taken, and nothing else was', async (t) => {
      const answered = gateway.operate(given);
      const { id } = await agent.next('operation');
      agent.send({ case: 'result', value: { operationId: id, status: 200 } });
      t.equal((await answered).status, 200);
      t.equal(id, given.id);
      t.equal(agent.all('operation').length, 1);
    });
  });
}
