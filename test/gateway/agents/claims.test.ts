/** Claims and releases: how they share transactions, what a wave that is too much is told, what a failure leaves behind. */

import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { silentLogger } from '../../../src/core/logger.js';
import { Claims, type NewConnection } from '../../../src/gateway/agents/claims.js';
import type { ClaimOutcome, ClaimRequest } from '../../../src/store/assignments/claim.js';
import type { ReleaseRequest } from '../../../src/store/assignments/release.js';
import { registrations } from '../../store/mirror/replicas.js';
import { waitFor } from '../../wait.js';

const signal = AbortSignal.timeout(120_000);

/** SQL that answers when it is told to, and keeps what it was asked. */
class DatabaseDouble {
  readonly claims: (readonly ClaimRequest[])[] = [];
  readonly releases: (readonly ReleaseRequest[])[] = [];
  gate: Promise<void> = Promise.resolve();
  failure: GatewayError | undefined;
  /** Requests of this agent are refused. */
  foreign = '';

  async claimAll(requests: readonly ClaimRequest[]): Promise<readonly ClaimOutcome[]> {
    this.claims.push(requests);
    await this.gate;
    if (this.failure !== undefined) throw this.failure;
    return requests.map(({ connection, accounts }) =>
      connection.agentId === this.foreign
        ? new GatewayError('permission-denied', 'registered by another identity')
        : accounts.map(({ name }) => ({ account: name, version: 1, assignments: [{ ...connection, caching: true }] })),
    );
  }

  releaseAll(requests: readonly ReleaseRequest[]): Promise<[]> {
    this.releases.push(requests);
    return Promise.resolve([]);
  }
}

function setUp() {
  const database = new DatabaseDouble();
  const numbers: number[] = [];
  let last = 0;
  const lease = { term: 0 };
  const claims = new Claims({
    ownership: database,
    nextEpochs: (count) => {
      numbers.push(count);
      last += count;
      return Promise.resolve(last - count + 1);
    },
    lease,
    cachingGraceMs: 9_000,
    timeoutMs: 30_000,
    logger: silentLogger,
  });
  const agent = (index: number): NewConnection => ({ instanceId: 'here', agentId: `agent-${index}`, zoneId: '' });
  const register = (index: number, at = signal, accounts = registrations(`account-${index}`)) =>
    claims.register(agent(index), accounts, at);
  /** Holds what the database answers. @returns the function that lets it */
  const hold = (): (() => void) => {
    let proceed = (): void => undefined;
    database.gate = new Promise((resolve) => (proceed = resolve));
    return proceed;
  };
  return { database, numbers, lease, claims, register, hold };
}

test('registrations of the same moment share transactions and numbers', async (t) => {
  const { database, numbers, register } = setUp();
  const claimed = await Promise.all(Array.from({ length: 5_000 }, (_, index) => register(index)));
  t.equal(database.claims.length, 5, 'by a thousand');
  t.same(numbers, [1_000, 1_000, 1_000, 1_000, 1_000]);
  t.equal(new Set(claimed.map(({ connection }) => connection.epoch)).size, 5_000);
  t.match(claimed[4_321], { connection: { agentId: 'agent-4321' }, ownerships: [{ account: 'account-4321' }] });
});

test('one that is refused takes no other along', async (t) => {
  const { database, register } = setUp();
  database.foreign = 'agent-2';
  const outcomes = await Promise.allSettled([register(1), register(2), register(3)]);
  t.match(outcomes, [
    { status: 'fulfilled' },
    { status: 'rejected', reason: { code: 'permission-denied' } },
    { status: 'fulfilled' },
  ]);
  await waitFor(() => database.releases.length === 1);
  t.match(database.releases, [[{ connection: { agentId: 'agent-2' } }]]);
});

test('what may have been written is released when the database fails', async (t) => {
  const { database, register, claims } = setUp();
  database.failure = new GatewayError('dependency-unavailable', 'SQL is away');
  const outcomes = await Promise.allSettled([register(1), register(2)]);
  t.ok(outcomes.every(({ status }) => status === 'rejected'));
  await claims.settled();
  t.match(database.releases, [
    [
      { connection: { agentId: 'agent-1', epoch: 1 }, accounts: ['account-1'], cachingGraceMs: 9_000 },
      { connection: { agentId: 'agent-2', epoch: 2 } },
    ],
  ]);
});

test('a registration that is given up is not written, or is released', async (t) => {
  const { database, register, hold, claims } = setUp();
  const proceed = hold();
  const [early, late] = [new AbortController(), new AbortController()];
  const written = register(1, early.signal);
  await waitFor(() => database.claims.length === 1);
  const other = register(2);
  await waitFor(() => database.claims.length === 2);
  const waiting = register(3, late.signal);
  await turn();
  for (const controller of [early, late]) controller.abort(new GatewayError('timed-out', 'too late'));
  await t.rejects(written, { code: 'timed-out' });
  await t.rejects(waiting, { code: 'timed-out' });
  proceed();
  await other;
  await waitFor(() => database.releases.length === 1);
  await claims.settled();
  t.match(database.releases, [[{ connection: { agentId: 'agent-1' } }]], 'what was under way');
  t.notOk(
    database.claims.flat().some(({ connection }) => connection.agentId === 'agent-3'),
    'what waited',
  );
});

test('more than the database takes in time is told when to come back, one after the other', async (t) => {
  const { register, hold, database } = setUp();
  const many = registrations(...Array.from({ length: 500 }, (_, index) => `account-${index}`));
  // It learns how long a batch takes.
  for (let round = 0; round < 16; round += 1) {
    const proceed = hold();
    const one = register(round);
    await waitFor(() => database.claims.length === round + 1);
    setTimeout(proceed, 150);
    await one;
  }
  const proceed = hold();
  const outcomes: Promise<unknown>[] = [];
  const refused: number[] = [];
  for (let index = 100; refused.length < 20 && index < 5_000; index += 1) {
    const answer = (error: unknown): void => {
      if (!(error instanceof GatewayError)) throw error;
      t.equal(error.code, 'overloaded');
      refused.push(error.details.retryAfterMs ?? 0);
    };
    outcomes.push(register(index, signal, many).catch(answer));
    if (index % 50 === 0) await turn();
  }
  t.ok(outcomes.length > 200 && outcomes.length < 700, `${outcomes.length} of a quarter of a batch each`);
  t.ok(
    Math.min(...refused) >= 8_000 && Math.max(...refused) <= 13_000,
    `told to come back after ${String(refused)} ms`,
  );
  t.same(
    refused,
    [...new Set(refused)].toSorted((a, b) => a - b),
    'one after the other',
  );
  proceed();
  await Promise.all(outcomes);
});

test('releases share transactions, and an agent without accounts needs none', async (t) => {
  const { database, claims } = setUp();
  const connection = (epoch: number) => ({ instanceId: 'here', agentId: `agent-${epoch}`, zoneId: '', epoch });
  await claims.release(connection(1), []);
  for (let epoch = 0; epoch < 3_000; epoch += 1) void claims.release(connection(epoch), [`account-${epoch}`], 0);
  await claims.settled();
  t.equal(database.releases.length, 3);
});

test('what was claimed under a lease that has lapsed since is claimed again, by the same number', async (t) => {
  const { database, register, hold, lease } = setUp();
  const proceed = hold();
  const registering = register(1);
  await waitFor(() => database.claims.length === 1);
  lease.term += 1;
  proceed();
  t.match(await registering, { connection: { epoch: 1 } });
  t.match(database.claims, [[{ connection: { epoch: 1 } }], [{ connection: { epoch: 1 } }]]);
  t.equal(database.releases.length, 0);
});
