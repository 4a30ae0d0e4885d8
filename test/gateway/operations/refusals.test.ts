/** Refused requests are counted in few records, whatever a flood brings. */

import { test } from 'tap';
import { GatewayError, type ErrorCode } from '../../../src/core/errors.js';
import { silentLogger } from '../../../src/core/logger.js';
import { Refusals } from '../../../src/gateway/operations/refusals.js';
import { createMetrics } from '../../../src/gateway/telemetry/metrics.js';
import type { FinishedOperation } from '../../../src/store/operations/operation-record.js';

function setUp() {
  const rows = new Map<string, FinishedOperation>();
  const state = { failure: undefined as Error | undefined, time: Date.UTC(2026, 0, 1), statements: 0 };
  const operations = {
    countRefusals: async (records: readonly FinishedOperation[]) => {
      state.statements += 1;
      if (state.failure !== undefined) throw state.failure;
      for (const record of records) rows.set(record.operationId, record);
    },
  };
  const metrics = createMetrics('gateway', 'test');
  const refusals = new Refusals({
    instanceId: 'gateway',
    operations,
    logger: silentLogger,
    metrics,
    now: () => state.time,
  });
  const add = (code: ErrorCode, account: string, caller = 'alice', type = 'deploy') => {
    refusals.add({ caller, account, type, error: new GatewayError(code, `${code} of ${account}`) });
  };
  const lost = async () => (await metrics.recordsLost.get()).values[0]?.value ?? 0;
  return { refusals, rows, state, add, lost, all: () => [...rows.values()] };
}

test('those of a minute, caller, account, type and reason share a record', async (t) => {
  const { refusals, add, all, state } = setUp();
  for (let index = 0; index < 1_000; index += 1) add('no-agent', 'prod');
  add('no-agent', 'test');
  add('overloaded', 'prod');
  state.time += 5_000;
  add('no-agent', 'prod');
  await refusals.write();
  t.equal(state.statements, 1);
  t.same(
    all().map(({ account, reason, count, finalOutcome }) => [account, reason, count, finalOutcome]),
    [
      ['prod', 'no-agent', 1_001, 'refused'],
      ['test', 'no-agent', 1, 'refused'],
      ['prod', 'overloaded', 1, 'refused'],
    ],
  );
  t.match(all()[0], { caller: 'alice', errorMessage: 'no-agent of prod', totalDurationMs: 5_000 });
  add('no-agent', 'prod');
  await refusals.write();
  t.equal(all()[0]?.count, 1_002, 'the record is written again');
  await refusals.write();
  t.equal(state.statements, 2, 'nothing has changed');
  state.time += 60_000;
  add('no-agent', 'prod');
  await refusals.write();
  t.equal(all().length, 4, 'the next minute has its own');
});

test('a flood of names and addresses fills nothing, and hides no other reason', async (t) => {
  const { refusals, add, all } = setUp();
  for (let index = 0; index < 10_000; index += 1) add('unknown-account', `a${String(index)}`);
  for (let index = 0; index < 10_000; index += 1) add('unauthenticated', '', `anonymous 10.0.${String(index)}`);
  add('no-agent', 'prod');
  await refusals.write();
  t.equal(all().length, 103);
  t.equal(
    all().reduce((sum, { count = 0 }) => sum + count, 0),
    20_001,
    'each is counted',
  );
  t.match(
    all().filter(({ account, caller }) => account === '' && caller === undefined),
    [
      { reason: 'unknown-account', count: 9_900 },
      { reason: 'unauthenticated', count: 10_000 },
    ],
  );
  t.equal(all().filter(({ reason }) => reason === 'no-agent').length, 1);
});

test('while the database is away, counts wait in bounded memory', async (t) => {
  const { refusals, add, all, state, lost } = setUp();
  state.failure = new Error('away');
  for (let minute = 0; minute < 30; minute += 1) {
    for (let index = 0; index < 200; index += 1) add('no-agent', `a${String(index)}`);
    await t.rejects(refusals.write(), { message: 'away' });
    state.time += 60_000;
  }
  state.failure = undefined;
  await refusals.write();
  t.equal(all().length, 1_000);
  t.ok((await lost()) > 0, 'what is lost is counted');
});

test('an error of the caller is no refusal', async (t) => {
  const { refusals, add, state } = setUp();
  for (const code of ['invalid-argument', 'operation-conflict', 'timed-out', 'agent-lost', 'internal'] as const)
    add(code, 'prod');
  await refusals.write();
  t.equal(state.statements, 0);
});
