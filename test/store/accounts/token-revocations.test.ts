/** When the tokens of accounts were revoked, on every engine. */

import { TokenRevocationStore } from '../../../src/store/accounts/token-revocations.js';
import { onEveryMigratedEngine } from '../engines.js';

onEveryMigratedEngine(async (t, database) => {
  const store = new TokenRevocationStore(database);
  const { signal } = new AbortController();

  await t.test('each revocation is later than the one before', async (t) => {
    t.same([...(await store.all(signal))], []);
    const times: number[] = [];
    for (let round = 0; round < 5; round += 1) times.push(await store.revoke('prod', signal));
    t.same(
      times,
      [...new Set(times)].toSorted((one, other) => one - other),
    );
    t.ok(Math.abs((times[0] ?? 0) - Date.now()) < 600_000, 'a time in ms');
    t.equal((await store.all(signal)).get('prod'), times.at(-1));
  });

  await t.test('at the same time from several instances', async (t) => {
    const times = await Promise.all(Array.from({ length: 6 }, () => store.revoke('test', signal)));
    t.equal((await store.all(signal)).get('test'), Math.max(...times));
    t.same(new Set((await store.all(signal)).keys()), new Set(['prod', 'test']));
  });
});
