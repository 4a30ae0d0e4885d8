/** The recorder writes in groups, says which outcome was the first, and counts what it could not write. */

import { test } from 'tap';
import { waitFor } from '../../wait.js';
import { GatewayError } from '../../../src/core/errors.js';
import { silentLogger } from '../../../src/core/logger.js';
import { Recorder } from '../../../src/gateway/operations/recorder.js';
import { createMetrics } from '../../../src/gateway/telemetry/metrics.js';
import type { FinishedOperation, StoredOperation } from '../../../src/store/operations/operation-record.js';
import type { OperationStore } from '../../../src/store/operations/operations.js';

function setUp() {
  const inserts: string[][] = [];
  const ends: string[][] = [];
  const ended = new Set<string>();
  const state = { failure: undefined as Error | undefined, refused: new Set<string>(), finishes: 0 };
  const warnings: object[] = [];
  const operations = {
    insert: async (items: readonly StoredOperation[]) => {
      if (state.failure !== undefined) throw state.failure;
      inserts.push(items.map(({ id }) => id));
      return items.map(() => ({ status: 'inserted' }));
    },
    insertNew: async (items: readonly StoredOperation[]) => {
      inserts.push(items.map(({ id }) => `new ${id}`));
    },
    note: async (records: readonly FinishedOperation[]) => {
      if (state.failure !== undefined) throw state.failure;
      ends.push(records.map(({ operationId }) => `noted ${operationId}`));
    },
    finish: async (records: readonly FinishedOperation[]) => {
      state.finishes += 1;
      if (state.failure !== undefined) throw state.failure;
      if (records.some(({ operationId }) => state.refused.has(operationId))) {
        const cause = new Error('ER_DATA_TOO_LONG');
        throw new GatewayError('internal', 'the database refused a statement', { cause });
      }
      ends.push(records.map(({ operationId }) => operationId));
      const first = records.filter(({ operationId }) => !ended.has(operationId)).map(({ operationId }) => operationId);
      for (const id of first) ended.add(id);
      return first;
    },
  } as unknown as OperationStore;
  const metrics = createMetrics('gateway', 'test');
  const logger = { ...silentLogger, warn: (fields: object) => void warnings.push(fields) } as typeof silentLogger;
  const recorder = new Recorder({ operations, logger, metrics, stopping: new AbortController().signal });
  return { recorder, metrics, inserts, ends, state, warnings };
}

const stored = (id: string): StoredOperation => ({ id, body: new Uint8Array() }) as StoredOperation;
const finished = (operationId: string): FinishedOperation => ({ operationId }) as FinishedOperation;

test('what one turn has to write is one statement', async (t) => {
  const { recorder, inserts, ends } = setUp();
  await Promise.all([recorder.begin(stored('1')), recorder.begin(stored('2')), recorder.end(finished('3'))]);
  t.same(inserts, [['1', '2']]);
  await Promise.all([recorder.beginNew(stored('4')), recorder.beginNew(stored('5'))]);
  t.same(inserts.at(-1), ['new 4', 'new 5']);
  t.same(ends, [['3']]);
});

test('the first outcome of an operation counts', async (t) => {
  const { recorder } = setUp();
  t.equal(await recorder.end(finished('1')), true);
  t.equal(await recorder.end(finished('1')), false);
});

test('outcomes that nobody waits for are written, those of reading operations as notes', async (t) => {
  const { recorder, ends } = setUp();
  recorder.endLater(finished('1'), true);
  recorder.endLater(finished('2'), false);
  recorder.endLater(finished('3'), false);
  await recorder.idle();
  t.same(ends, [['1'], ['noted 2', 'noted 3']]);
});

test('while the database is away notes are lost and outcomes wait; who asks is told', async (t) => {
  const { recorder, metrics, ends, state } = setUp();
  const lost = async (): Promise<number | undefined> => (await metrics.recordsLost.get()).values[0]?.value;
  state.failure = new GatewayError('dependency-unavailable', 'SQL is away');
  recorder.endLater(finished('1'), true);
  recorder.endLater(finished('2'), false);
  await recorder.idle();
  await waitFor(async () => (await lost()) === 1, { description: 'the note to be counted as lost' });
  await t.rejects(recorder.begin(stored('3')), { code: 'dependency-unavailable' });
  await t.rejects(recorder.end(finished('4')), { code: 'dependency-unavailable' });
  state.failure = undefined;
  await waitFor(() => ends.length > 0, { description: 'the outcome to be written' });
  t.same(ends, [['1']]);
  t.equal(await lost(), 1);
});

test('an outcome that the database refuses is offered a few times, logged, given up, and harms no other', async (t) => {
  const { recorder, metrics, ends, state, warnings } = setUp();
  state.refused.add('bad');
  const others = [recorder.endEventually(finished('1')), recorder.endEventually(finished('2'))];
  const bad = recorder.endEventually(finished('bad'));
  t.same(await Promise.all(others), [true, true]);
  t.same(ends.flat().toSorted(), ['1', '2']);
  await t.rejects(bad, { code: 'internal' });
  t.equal(warnings.length, 4, 'each retry is logged');
  t.match(warnings[0], { operationId: 'bad', attempt: 1, error: /refused a statement: ER_DATA_TOO_LONG/ });
  t.ok(state.finishes < 15, `${String(state.finishes)} statements`);

  recorder.endLater(finished('bad'), true);
  const lost = async (): Promise<number | undefined> => (await metrics.recordsLost.get()).values[0]?.value;
  await waitFor(async () => (await lost()) === 1, { description: 'the outcome to be given up', timeoutMs: 20_000 });
});
