/** The table of members, and discovery of one instance. */

import { test } from 'tap';
import { silentLogger } from '../../src/core/logger.js';
import type { MembershipChange } from '../../src/discovery/discovery.js';
import { LocalDiscovery } from '../../src/discovery/local.js';
import { Membership, type Member } from '../../src/discovery/membership.js';
import { waitFor } from '../wait.js';
import { recordingLogger } from './recording-logger.js';

class Table extends Membership {
  set(...members: Member[]): void {
    this.replace(members);
  }
  known(): void {
    this.setKnown();
  }
  unknown(reason: string): void {
    this.setUnknown(new Error(reason));
  }
}

const member = (id: string, ready = true, baseUrl = `http://${id}`): Member => ({ id, baseUrl, ready });

test('listeners get the ids that were added, changed and removed, each in order', (t) => {
  const table = new Table(silentLogger);
  const changes: MembershipChange[] = [];
  const unsubscribe = table.onChange((change) => changes.push(change));
  table.set(member('c'), member('a'), member('b'));
  table.set(member('d'), member('b', false), member('c', true, 'http://other'));
  t.same(changes, [
    { added: ['a', 'b', 'c'], changed: [], removed: [] },
    { added: ['d'], changed: ['b', 'c'], removed: ['a'] },
  ]);
  t.same(
    table.instances().map(({ id }) => id),
    ['b', 'c', 'd'],
  );
  t.equal(table.instance('c')?.baseUrl, 'http://other');
  t.equal(table.instance('a'), undefined);
  table.set(member('b', false), member('c', true, 'http://other'), member('d'));
  t.equal(changes.length, 2, 'the same members again are no change');
  unsubscribe();
  table.set();
  t.equal(changes.length, 2);
  t.end();
});

test('lastUpdated moves with a change or a confirmation, and not otherwise', (t) => {
  const table = new Table(silentLogger);
  table.set({ ...member('a'), lastUpdated: 5 }, member('b'));
  const before = table.instance('b')?.lastUpdated;
  table.set({ ...member('a'), lastUpdated: 7 }, member('b'));
  t.equal(table.instance('a')?.lastUpdated, 7);
  t.equal(table.instance('b')?.lastUpdated, before);
  table.set(member('a', false));
  t.ok((table.instance('a')?.lastUpdated ?? 0) > 1e12, 'a change without a time of its own is of now');
  t.end();
});

test('a listener that throws hinders nobody', (t) => {
  const logger = recordingLogger();
  const table = new Table(logger);
  table.onChange(() => {
    throw new Error('broken listener');
  });
  let called = 0;
  table.onChange(() => (called += 1));
  table.set(member('a'));
  t.equal(called, 1);
  t.match(
    logger.lines.filter(({ level }) => level === 'error'),
    [{ fields: { error: 'broken listener' } }],
  );
  t.end();
});

test('unknown keeps the members, its beginning and its last error', (t) => {
  const logger = recordingLogger();
  const table = new Table(logger);
  table.set(member('a'));
  table.known();
  t.equal(table.state().status, 'known');
  table.unknown('first\nand more');
  const { since } = table.state();
  table.unknown('second');
  table.unknown('second');
  t.same(table.state(), { status: 'unknown', since, error: 'second' });
  t.equal(table.instances().length, 1);
  t.equal(logger.lines.filter(({ level }) => level === 'warn').length, 2, 'the same error is said once');
  table.known();
  t.equal(table.state().error, undefined);
  t.end();
});

test('what is not known yet at the start is no warning, until it takes too long', async (t) => {
  const logger = recordingLogger();
  const table = new Table(logger, 200);
  const levels = (): string[] => logger.lines.map(({ level }) => level);
  table.unknown('no connection');
  table.unknown('no connection');
  t.same(levels(), ['info']);
  await waitFor(() => {
    table.unknown('no connection');
    return levels().includes('warn');
  });
  table.unknown('no connection');
  t.same(levels(), ['info', 'warn'], 'each is said once');
  const quick = recordingLogger();
  const known = new Table(quick);
  known.known();
  known.unknown('no connection');
  t.match(quick.lines.at(-1), { level: 'warn' }, 'a connection that was there before is missed at once');
});

test('local discovery knows one member, which is as ready as it was told', async (t) => {
  const discovery = new LocalDiscovery({ self: { id: 'one', baseUrl: 'http://one' }, logger: silentLogger });
  t.same(discovery.instances(), []);
  await discovery.start(new AbortController().signal);
  t.match(discovery.instances(), [{ id: 'one', baseUrl: 'http://one', ready: false }]);
  t.equal(discovery.state().status, 'known');
  const changes: MembershipChange[] = [];
  discovery.onChange((change) => changes.push(change));
  discovery.setReady(true);
  t.equal(discovery.instance('one')?.ready, true);
  t.match(changes, [{ changed: ['one'] }]);
  await discovery.stop();
  await discovery.stop();
  t.equal(discovery.state().status, 'unknown');
  await t.rejects(discovery.start(AbortSignal.abort(new Error('too late'))), { message: 'too late' });
});
