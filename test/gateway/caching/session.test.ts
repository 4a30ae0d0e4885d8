/** One stream of cached objects: what is read when, what is acknowledged when, and what ends it. */

import { test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { silentLogger } from '../../../src/core/logger.js';
import { CachingIngest } from '../../../src/gateway/caching/ingest.js';
import { KindFilter } from '../../../src/gateway/caching/kinds.js';
import { CachingSession, type CachingStreamMessage } from '../../../src/gateway/caching/session.js';
import { createMetrics } from '../../../src/gateway/telemetry/metrics.js';
import type { CacheWrite, CacheWriteOutcome } from '../../../src/store/cache/cached-object.js';
import { waitFor } from '../../wait.js';

const scope = { account: 'prod', apiVersion: 'v1', kind: 'Pod', namespace: '' };
const hello: CachingStreamMessage = { case: 'hello', bytes: 10, agentId: 'agent-1', epoch: 7, accounts: ['prod'] };

function events(
  sequence: number,
  names: readonly string[],
  change: Partial<CachingStreamMessage & { case: 'events' }> = {},
): CachingStreamMessage {
  const objects = names.map((name) => ({
    type: 'added' as const,
    object: Buffer.from(JSON.stringify({ metadata: { name, namespace: 'shop' } })),
  }));
  return { case: 'events', bytes: 100, sequence, scope, events: objects, resourceVersion: String(sequence), ...change };
}

/** A stream over a store that answers when the test lets it. */
function setUp() {
  const said: string[] = [];
  const writes: {
    readonly items: readonly CacheWrite[];
    settle(outcome: Partial<CacheWriteOutcome> | GatewayError): void;
  }[] = [];
  const metrics = createMetrics('test', 'test');
  const ingest = new CachingIngest({
    kinds: new KindFilter({ cacheAll: false, cacheKinds: ['Pod', 'Secret'], cacheOmitKinds: [] }),
    logger: silentLogger,
    metrics,
    cache: {
      start: (_agent, accounts) =>
        Promise.resolve({
          streams: new Map(accounts.filter((account) => account !== 'other').map((account) => [account, 42])),
          points: [],
        }),
      write: (items) =>
        new Promise((resolve, reject) => {
          const settle = (outcome: Partial<CacheWriteOutcome> | GatewayError): void => {
            if (outcome instanceof GatewayError) reject(outcome);
            else resolve(items.map(() => ({ lost: [], removed: 0, ...outcome })));
          };
          writes.push({ items, settle });
        }),
    },
  });
  const transport = {
    peer: 'test',
    resumeAt: ({ streams }: { streams: ReadonlyMap<string, number> }) =>
      said.push(`resume ${[...streams.keys()].join()}`) > 0,
    acknowledge: (sequence: number) => said.push(`ack ${sequence}`) > 0,
    stop: (accounts: readonly string[]) => said.push(`stop ${accounts.join()}`) > 0,
    pause: () => void said.push('pause'),
    resume: () => void said.push('read on'),
    end: (error?: GatewayError) => void said.push(`end ${error?.code ?? 'ok'}`),
  };
  const session = new CachingSession(ingest, transport);
  const written = async (index: number) => (await waitFor(() => writes[index])).items.flatMap(({ objects }) => objects);
  const hears = (what: string) => waitFor(() => said.includes(what), { description: `${what} in ${said.join('; ')}` });
  return { session, ingest, metrics, said, writes, written, hears };
}

test('an acknowledgement comes after the commit; what came meanwhile is the next batch', async (t) => {
  const { session, ingest, said, writes, written, hears } = setUp();
  session.receive(hello);
  session.receive(events(1, ['a']));
  session.receive(events(2, ['b', 'a']));
  t.same(
    (await written(0)).map(({ id }) => id.split(':').at(-1)),
    ['a', 'b'],
    'of two changes of an object the last counts',
  );
  session.receive(events(3, ['c']));
  t.same(said, ['resume prod']);
  writes[0]?.settle({});
  await hears('ack 2');
  t.equal((await written(1)).length, 1);
  t.equal(writes[1]?.items[0]?.streams.get('prod'), 42);
  writes[1]?.settle({});
  await hears('ack 3');
  t.equal(ingest.waitingBytes, 0);
});

test('a stream is not read past its bound while the database is slow', async (t) => {
  const { session, ingest, said, writes, written, hears } = setUp();
  session.receive(hello);
  const large = { bytes: 300 * 1_024 };
  session.receive(events(1, ['a'], large));
  await written(0);
  t.notOk(said.includes('pause'));
  session.receive(events(2, ['b'], large));
  t.equal(said.at(-1), 'pause');
  t.equal(ingest.waitingBytes, 600 * 1_024);
  writes[0]?.settle({});
  await hears('read on');
  session.close();
  writes[1]?.settle({});
  await waitFor(() => ingest.waitingBytes === 0, { description: 'the bytes to be given back' });
  t.equal(ingest.streams, 0);
});

test('no stream is read while all together hold too much', async (t) => {
  const { session, ingest, said, writes, hears } = setUp();
  session.receive(hello);
  await hears('resume prod');
  ingest.hold(64 * 1_024 * 1_024);
  session.receive(events(1, ['a']));
  t.equal(said.at(-1), 'pause');
  await waitFor(() => writes[0]);
  writes[0]?.settle({});
  await hears('ack 1');
  ingest.release(64 * 1_024 * 1_024);
  t.equal(said.at(-1), 'read on');
});

test('kinds that are not wanted, objects that are none, accounts of others', async (t) => {
  const { session, metrics, said, writes, written, hears } = setUp();
  session.receive({ ...hello, accounts: ['prod', 'other'] });
  await hears('stop other');
  session.receive(events(1, ['a'], { scope: { ...scope, kind: 'Event' } }));
  session.receive(events(2, ['b'], { scope: { ...scope, account: 'other' } }));
  session.receive(events(3, ['c', '']));
  t.equal((await written(0)).length, 0, 'the first went alone');
  writes[0]?.settle({});
  t.same(
    (await written(1)).map(({ id }) => id.split(':').at(-1)),
    ['c'],
  );
  writes[1]?.settle({ lost: ['prod'] });
  await hears('stop prod');
  await hears('ack 3');
  t.ok(said.indexOf('stop prod') < said.indexOf('ack 3'), 'before the acknowledgement');
  session.receive(events(4, ['d']));
  await waitFor(() => said.filter((each) => each === 'stop prod').length === 2);
  const text = await metrics.registry.metrics();
  t.match(text, /caching_events_total\{type="added",outcome="not_wanted"\} 1/u);
  t.match(text, /caching_events_total\{type="added",outcome="invalid"\} 1/u);
  t.match(text, /caching_events_total\{type="added",outcome="not_held"\} 3/u);
});

test('what ends a stream', async (t) => {
  const cases: readonly (readonly [string, readonly CachingStreamMessage[]])[] = [
    ['no hello', [events(1, ['a'])]],
    ['a hello of another connection', [hello, { ...hello, epoch: 8 }]],
    [
      'the end of a snapshot that did not begin',
      [hello, { case: 'snapshotEnd', bytes: 1, sequence: 1, scope, resourceVersion: '1' }],
    ],
    ['events outside of a snapshot without a version', [hello, events(1, ['a'], { resourceVersion: '' })]],
  ];
  for (const [what, messages] of cases) {
    const { session, said } = setUp();
    for (const message of messages) session.receive(message);
    await waitFor(() => session.closed, { description: what });
    t.equal(said.at(-1), 'end invalid-argument', what);
  }
  const { session, said, writes } = setUp();
  session.receive(hello);
  session.receive(events(1, ['a']));
  await waitFor(() => writes[0]);
  writes[0]?.settle(new GatewayError('dependency-unavailable', 'no database'));
  await waitFor(() => session.closed);
  t.equal(said.at(-1), 'end dependency-unavailable');
});

test('one stream whose rows the database refuses does not take others with it', async (t) => {
  const { session, ingest, writes, hears } = setUp();
  session.receive(hello);
  await hears('resume prod');
  const ends: string[] = [];
  const nothing = () => true;
  const transport = { resumeAt: nothing, acknowledge: nothing, stop: nothing, pause: nothing, resume: nothing };
  const other = new CachingSession(ingest, {
    ...transport,
    peer: 'other',
    end: (error) => void ends.push(error?.code ?? 'ok'),
  });
  other.receive({ ...hello, agentId: 'agent-2' });
  await new Promise(setImmediate);
  other.receive(events(1, ['bad']));
  session.receive(events(1, ['good']));
  const both = await waitFor(() => writes[0]);
  t.equal(both.items.length, 2, 'both in one transaction');
  both.settle(new GatewayError('internal', 'refused'));
  (await waitFor(() => writes[1])).settle(new GatewayError('internal', 'refused'));
  (await waitFor(() => writes[2])).settle({});
  await hears('ack 1');
  await waitFor(() => ends.length > 0);
  t.same(ends, ['internal']);
});

test('an agent that ends its stream gets what it sent committed', async (t) => {
  const { session, said, writes, hears } = setUp();
  session.receive(hello);
  session.receive(events(1, ['a']));
  session.finish();
  (await waitFor(() => writes[0])).settle({});
  await hears('end ok');
  t.same(said, ['resume prod', 'ack 1', 'end ok']);
});

test('events of a scope that the store does not have whole make no point to resume from', async (t) => {
  const { session, writes, hears } = setUp();
  const bracket = (kind: 'snapshotStart' | 'snapshotEnd', sequence: number): CachingStreamMessage => ({
    ...{ bytes: 10, sequence, scope },
    ...(kind === 'snapshotStart' ? { case: kind } : { case: kind, resourceVersion: '30' }),
  });
  const versions = (index: number) =>
    writes[index]?.items.flatMap((item) => item.versions.map(({ resourceVersion }) => resourceVersion));
  const commit = async (messages: readonly CachingStreamMessage[], index: number, last: number) => {
    for (const message of messages) session.receive(message);
    await waitFor(() => writes[index], { description: `write ${String(index)}` });
    writes[index]?.settle({});
    await hears(`ack ${String(last)}`);
    return versions(index);
  };
  t.same(await commit([hello, events(1, ['a'])], 0, 1), [], 'without a snapshot or a point');
  t.same(await commit([bracket('snapshotStart', 2)], 1, 2), ['']);
  t.same(await commit([events(3, ['a'])], 2, 3), [], 'within a snapshot');
  t.same(await commit([bracket('snapshotEnd', 4)], 3, 4), ['30']);
  t.same(await commit([events(5, ['b'])], 4, 5), ['5'], 'after one');
});
