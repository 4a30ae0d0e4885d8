/** What an instance knows of revoked tokens while SQL comes and goes. */

import { test } from 'tap';
import { silentLogger } from '../../../src/core/logger.js';
import { TokenRevocations } from '../../../src/gateway/spinnaker/token-revocations.js';
import { fakeTime } from '../../fake-time.js';

/** A store of which each reading is answered by the test. */
function setUp() {
  const state = { rows: new Map<string, number>(), lost: false };
  const store = {
    all: () => (state.lost ? Promise.reject(new Error('SQL is lost')) : Promise.resolve(new Map(state.rows))),
    revoke: (account: string) => {
      if (state.lost) return Promise.reject(new Error('SQL is lost'));
      state.rows.set(account, 5_000);
      return Promise.resolve(5_000);
    },
  };
  return { state, revocations: new TokenRevocations(store) };
}

test('those of other instances are learned within seconds, and kept while SQL is lost', async (t) => {
  const time = fakeTime(t);
  const { state, revocations } = setUp();
  state.rows.set('old', 1_000);
  const controller = new AbortController();
  await revocations.read(controller.signal);
  t.equal(revocations.of('old'), 1_000, 'known from the start');
  const lines: string[] = [];
  const logger = { ...silentLogger, warn: (_: object, text: string) => lines.push(text) };
  const running = revocations.run(
    { ...logger, info: (_: object, text: string) => lines.push(text) },
    controller.signal,
  );
  /** It reads once more at least. */
  const pass = (): Promise<void> => time.pass(2_100);
  state.rows.set('new', 2_000);
  await pass();
  t.equal(revocations.of('new'), 2_000);
  state.lost = true;
  await pass();
  await pass();
  t.same([revocations.of('old'), revocations.of('new'), revocations.of('never')], [1_000, 2_000, 0]);
  await t.rejects(revocations.revoke('prod', controller.signal), /SQL is lost/u);
  state.lost = false;
  await pass();
  t.match(lines, [/cannot read which tokens of accounts are revoked/u, /known again/u], 'once each');
  controller.abort();
  await running;
});

test('what this instance has revoked is refused at once, and is not forgotten by an older answer', async (t) => {
  const { state, revocations } = setUp();
  const { signal } = new AbortController();
  t.equal(await revocations.revoke('prod', signal), 5_000);
  t.equal(revocations.of('prod'), 5_000);
  state.rows.set('prod', 4_000);
  await revocations.read(signal);
  t.equal(revocations.of('prod'), 5_000);
});
