/** Connections of the pool that are not needed any more are closed after a while, in every database server. */

import { mock } from 'node:test';
import { sql } from 'kysely';
import { idleTimeoutMs } from '../../../src/store/sql/engine.js';
import { onEveryEngine } from '../engines.js';

onEveryEngine(async (t, { name, open }) => {
  if (name === 'pglite') return;
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.now() });
  t.teardown(() => mock.timers.reset());
  const database = open({ maxPoolSize: 4 });
  const select = () => database.run((db) => sql`select 1`.execute(db));
  await Promise.all([select(), select(), select()]);
  t.match(database.pool(), { size: 3, idle: 3 });

  mock.timers.tick(idleTimeoutMs - 2_000);
  await select();
  t.equal(database.pool().size, 3, 'kept for the next statements');
  mock.timers.tick(4_000);
  t.match(database.pool(), { size: 1, idle: 1 }, 'the one that is used stays');
});
