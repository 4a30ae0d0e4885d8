/** Hints from memory, misses and doubts from SQL, changes to SQL first. */

import { test } from 'tap';
import { silentLogger } from '../../../src/core/logger.js';
import { OwnershipService, type OwnershipSettings } from '../../../src/gateway/agents/ownership.js';
import { OwnershipMap } from '../../../src/store/mirror/ownership-map.js';
import type { Change } from '../../../src/store/mirror/wire.js';
import type { Ownership } from '../../../src/store/assignments/ownership.js';
import { connection, registrations, TruthDouble, claim, release } from '../../store/mirror/replicas.js';

const signal = AbortSignal.timeout(120_000);

function setUp(settings: Partial<OwnershipSettings> = {}): {
  truth: TruthDouble;
  map: OwnershipMap;
  published: Change[];
  service: OwnershipService;
} {
  const truth = new TruthDouble();
  const map = new OwnershipMap();
  const published: Change[] = [];
  const mirror = { publish: (changes: readonly Change[]): void => void published.push(...changes) };
  const service = new OwnershipService({ assignments: truth, map, mirror, logger: silentLogger, settings });
  return { truth, map, published, service };
}

function gate(truth: TruthDouble): () => void {
  let open = (): void => undefined;
  truth.gate = new Promise((resolve) => {
    open = resolve;
  });
  return open;
}

test('a claim goes to SQL, the map and the mirror, and is answered from memory then', async (t) => {
  const { truth, published, service } = setUp();
  const claimed = await claim(service, connection(1), registrations('a'), signal);
  t.strictSame(claimed, [truth.accounts.get('a')]);
  t.strictSame(published, claimed);
  t.match(service.resolve('a'), { assignments: [{ epoch: 1 }] }, 'at once');
  t.equal(truth.finds.length, 0);
  await release(service, connection(1), ['a'], signal);
  t.same(service.resolve('a'), { account: 'a', version: 2, assignments: [] });
});

test('a claim that SQL refuses changes nothing', async (t) => {
  const { truth, map, published, service } = setUp();
  truth.failure = new Error('SQL is down');
  await t.rejects(claim(service, connection(1), registrations('a'), signal), /SQL is down/);
  t.equal(map.size, 0);
  t.equal(published.length, 0);
});

test('misses of one turn share one query, misses of one account one read', async (t) => {
  const { truth, service } = setUp();
  truth.fill(5);
  const names = [...truth.accounts.keys()];
  const answers = await Promise.all([...names, ...names].map(async (name) => service.resolve(name)));
  t.equal(answers.filter((answer) => answer?.version === 1).length, 10);
  t.strictSame(truth.finds, [names]);
  const open = gate(truth);
  const early = service.resolve('new');
  await new Promise(setImmediate);
  const late = service.resolve('new');
  open();
  t.strictSame(await Promise.all([early, late]), [undefined, undefined]);
  t.equal(truth.finds.length, 2, 'the late one joined the read under way');
});

test('queries are bounded in size and number, and callers past the bound are refused', async (t) => {
  const { truth, service } = setUp({ batchAccounts: 2, concurrentReads: 1, waitingAccounts: 5 });
  const open = gate(truth);
  const asked = [1, 2, 3, 4, 5, 6].map((n) => Promise.resolve(service.resolve(`unknown-${n}`)));
  const outcomes = Promise.allSettled(asked);
  await new Promise(setImmediate);
  t.equal(truth.finds.length, 1);
  open();
  const settled = await outcomes;
  t.strictSame(
    settled.map(({ status }) => status),
    [...Array<string>(5).fill('fulfilled'), 'rejected'],
  );
  t.match(settled[5], { reason: { code: 'overloaded', details: { retryAfterMs: 1_000 } } });
  t.strictSame(
    truth.finds.map((accounts) => accounts.length),
    [2, 2, 1],
  );
});

test('an unknown account is not asked for again for a while, unless it is claimed or refreshed', async (t) => {
  const { truth, service } = setUp({ unknownForMs: 60_000, unknownAccounts: 2 });
  t.equal(await service.resolve('a'), undefined);
  t.equal(service.resolve('a'), undefined, 'at once');
  t.equal(truth.finds.length, 1);
  await claim(service, connection(1), registrations('a'), signal);
  t.match(service.resolve('a'), { version: 1 });
  t.equal(await service.refresh('nobody', signal), undefined);
  t.equal(await service.refresh('nobody', signal), undefined);
  t.equal(truth.finds.length, 3);
  await Promise.all([service.resolve('x'), service.resolve('y')]);
  t.ok(service.resolve('nobody') instanceof Promise, 'the oldest was forgotten');
});

test('refresh drops a wrong hint, reads SQL once for all, and repairs map and mirror', async (t) => {
  const { truth, map, published, service } = setUp();
  truth.fill(1);
  const [account] = [...truth.accounts.keys()] as [string];
  await service.resolve(account);
  const heard: [Ownership, Ownership | undefined][] = [];
  service.onChange((now, before) => heard.push([now, before]));
  await truth.claim(connection(9, 'agent-1'), registrations(account));
  t.match(service.resolve(account), { version: 1 }, 'the late hint');
  const answers = await Promise.all([1, 2, 3].map(() => service.refresh(account, signal)));
  for (const answer of answers) t.match(answer, { version: 2, assignments: [{ epoch: 9 }] });
  t.equal(truth.finds.length, 2);
  t.match(map.get(account), { version: 2 });
  t.match(published, [{ account, version: 2 }]);
  t.match(heard, [[{ version: 2 }, { version: 1 }]]);
  await service.refresh(account, signal);
  t.equal(heard.length, 1, 'nothing changed, nobody is told');
  t.equal(published.length, 1);
});

test('refresh does not join a read that began before it', async (t) => {
  const { truth, service } = setUp();
  const open = gate(truth);
  const early = Promise.resolve(service.resolve('a'));
  await new Promise(setImmediate);
  const fresh = service.refresh('a', signal);
  open();
  await Promise.all([early, fresh]);
  t.strictSame(truth.finds, [['a'], ['a']]);
});

test('a hint newer than what SQL said is kept; one of a lower version gives way to SQL', async (t) => {
  const { truth, map, service } = setUp();
  await claim(service, connection(1), registrations('a'), signal);
  const open = gate(truth);
  const refreshed = service.refresh('a', signal);
  await new Promise(setImmediate);
  map.set({ account: 'a', version: 7, assignments: [] });
  open();
  t.match(await refreshed, { version: 7 }, 'a message came while SQL was read');
  t.match(await service.refresh('a', signal), { version: 1 }, 'a database that was restored');
  t.match(map.get('a'), { version: 1 });
});

test('an account that SQL has no longer vanishes everywhere', async (t) => {
  const { truth, map, published, service } = setUp();
  await claim(service, connection(1), registrations('a'), signal);
  truth.accounts.delete('a');
  const heard: unknown[] = [];
  service.onChange((now, before) => heard.push(now, before));
  t.equal(await service.refresh('a', signal), undefined);
  t.equal(map.size, 0);
  t.match(published.at(-1), { account: 'a', version: 1, removed: true });
  t.match(heard, [
    { account: 'a', assignments: [] },
    { version: 1, assignments: [{ epoch: 1 }] },
  ]);
});

test('without SQL a refresh fails, and the hint stays', async (t) => {
  const { truth, service } = setUp();
  await claim(service, connection(1), registrations('a'), signal);
  truth.failure = new Error('SQL is down');
  await t.rejects(service.refresh('a', signal), /SQL is down/);
  t.match(service.resolve('a'), { assignments: [{ epoch: 1 }] });
  await t.rejects(Promise.resolve(service.resolve('b')), /SQL is down/);
});

test('waits end with their signal, and reads with their deadline', async (t) => {
  const { truth, service } = setUp({ readTimeoutMs: 100 });
  const open = gate(truth);
  const caller = new AbortController();
  const given = service.refresh('a', caller.signal);
  const reason = new Error('the caller has gone');
  caller.abort(reason);
  await t.rejects(given, reason);
  await t.rejects(service.refresh('a', caller.signal), reason);
  await t.rejects(Promise.resolve(service.resolve('b')), { code: 'dependency-unavailable', details: { field: 'sql' } });
  open();
});

test('a listener that fails does not keep others from hearing', async (t) => {
  const { service } = setUp();
  let heard = 0;
  service.onChange(() => {
    throw new Error('listener');
  });
  const end = service.onChange(() => (heard += 1));
  await claim(service, connection(1), registrations('a', 'b'), signal);
  t.equal(heard, 2);
  end();
  await claim(service, connection(2), registrations('a'), signal);
  t.equal(heard, 2);
});
