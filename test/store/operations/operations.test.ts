/** Operations in SQL, on every engine: an id is used once, and has one outcome. */

import { OperationStore } from '../../../src/store/operations/operations.js';
import { onEveryMigratedEngine } from '../engines.js';
import { finished, operation } from '../fixtures.js';

onEveryMigratedEngine(async (t, database, engine) => {
  const store = new OperationStore(database);

  await t.test('a stored operation comes back as it was, 4 MB and every byte of it', async (t) => {
    const body = Uint8Array.from({ length: 4 * 1_024 * 1_024 }, (_, index) => (index * 31 + (index >> 8)) % 256);
    const big = operation('01A', { body });
    t.strictSame(await store.insert([big]), [{ id: '01A', status: 'inserted' }]);
    const [stored] = await store.unfinished({ limit: 10 });
    t.ok(stored !== undefined && Buffer.from(stored.body).equals(body));
    const { timeLeftMs, ...rest } = stored ?? {};
    t.strictSame({ ...rest, body: null }, { ...big, body: null });
    t.ok(timeLeftMs !== undefined && timeLeftMs > 0 && timeLeftMs <= big.timeoutMs);
  });

  await t.test('an id that is pending is found again, with its digest', async (t) => {
    await store.insert([operation('01A')]);
    const again = await store.insert([operation('01B'), operation('01A', { digest: 'other' }), operation('01B')]);
    t.strictSame(again, [
      { id: '01B', status: 'inserted' },
      { id: '01A', status: 'pending', digest: 'digest of 01A' },
      { id: '01B', status: 'pending', digest: 'digest of 01B' },
    ]);
    t.equal((await store.unfinished({ limit: 10 })).length, 2);
  });

  await t.test('an id that was finished cannot be used again', async (t) => {
    await store.insert([operation('01A')]);
    t.strictSame(await store.finish([finished('01A', { finalOutcome: 'failed' })]), new Set(['01A']));
    t.strictSame(await store.insert([operation('01A', { digest: 'other' }), operation('01B')]), [
      { id: '01A', status: 'finished', digest: 'digest of 01A', finalOutcome: 'failed' },
      { id: '01B', status: 'inserted' },
    ]);
    t.strictSame(
      (await store.unfinished({ limit: 10 })).map(({ id }) => id),
      ['01B'],
    );
  });

  await t.test('of several submissions of one id at the same time one is stored', async (t) => {
    const stores = Array.from({ length: 3 }, () => new OperationStore(engine.open()));
    const ids = Array.from({ length: 20 }, (_, index) => `01${String(index).padStart(3, '0')}`);
    const outcomes = await Promise.all(
      Array.from({ length: 6 }, (_, caller) =>
        (stores[caller % 3] ?? store).insert(
          ids.toSorted(() => Math.random() - 0.5).map((id) => operation(id, { digest: `of caller ${caller}` })),
        ),
      ),
    );
    const inserted = outcomes.flat().filter((outcome) => outcome.status === 'inserted');
    t.strictSame(inserted.map(({ id }) => id).sort(), ids);
  });

  await t.test('the first outcome stays, whoever comes later or at the same time', async (t) => {
    const ids = Array.from({ length: 30 }, (_, index) => `01${String(index).padStart(3, '0')}`);
    await store.insert(ids.map((id) => operation(id)));
    const stores = Array.from({ length: 3 }, () => new OperationStore(engine.open()));
    const won = await Promise.all(
      stores.flatMap((each, index) => [
        each.finish(ids.map((id) => finished(id, { finalOutcome: 'completed', resultMessage: `of ${index}` }))),
        each.finish(ids.toReversed().map((id) => finished(id, { finalOutcome: 'timed out' }))),
      ]),
    );
    t.strictSame(won.flatMap((set) => [...set]).sort(), ids, 'each id was won once');
    t.strictSame(await store.unfinished({ limit: 100 }), []);
    const winner = won.findIndex((set) => set.has('01007'));
    t.equal((await store.find('01007'))?.finalOutcome, winner % 2 === 0 ? 'completed' : 'timed out');
    t.strictSame(await store.finish([finished('01007', { finalOutcome: 'cancelled' })]), new Set());
  });

  await t.test('an operation that is stored and finished at the same time never stays pending', async (t) => {
    const other = new OperationStore(engine.open());
    for (let round = 0; round < 15; round += 1) {
      const id = `01${round}`;
      const [[outcome]] = await Promise.all([store.insert([operation(id)]), other.finish([finished(id)])]);
      if (outcome?.status === 'inserted') await other.finish([finished(id)]);
      t.equal((await store.find(id))?.finalOutcome, 'completed');
    }
    t.strictSame(await store.unfinished({ limit: 100 }), []);
  });

  await t.test('a pending operation is bound to one agent, or withdrawn', async (t) => {
    await store.insert([operation('01A'), operation('01B')]);
    const binding = { agentId: 'agent', epoch: 3, processId: 'process' };
    t.equal(await store.bind('01A', binding), true);
    t.equal(await store.bind('01A', binding), true, 'once more');
    await store.withdraw('01B', 'another instance');
    t.ok(await store.find('01B'), 'it is not of that one');
    t.equal(await store.withdraw('01B', 'replica-1'), true);
    const bound = { id: '01A', agentId: 'agent', agentEpoch: 3, agentProcessId: 'process' };
    t.match(await store.unfinished({ limit: 10 }), [bound]);
    await store.adopt(['01A'], 'replica-2');
    t.equal(await store.bind('01A', { agentId: 'other', epoch: 4 }), false, 'a survivor has taken it over');
    t.equal(await store.withdraw('01A', 'replica-1'), false);
    t.match(await store.unfinished({ limit: 10 }), [bound], 'and it stays with whom it is bound to');
    t.equal(await store.bind('none', binding), false);
    t.strictSame(await store.insert([operation('01B')]), [{ id: '01B', status: 'inserted' }]);
  });

  await t.test('a record keeps every step', async (t) => {
    const record = finished('01A', {
      totalDurationMs: 1_500,
      processedBy: { instanceId: 'replica-2', time: 1_700_000_000_100 },
      sentToAgent: { agentId: 'agent', time: 1_700_000_000_200 },
      resultReceivedFromAgent: {
        agentId: 'agent',
        instanceId: 'replica-2',
        time: 1_700_000_001_400,
        status: 3,
        durationMs: 1_200,
      },
      resultReceivedBy: { instanceId: 'replica-1', time: 1_700_000_001_500 },
      errorMessage: 'é'.repeat(2_000),
      resultMessage: 'ok 😀',
      caller: 'spiffe://cluster/é😀',
      verb: 'create',
      object: { group: 'apps', resource: 'deployments/scale', namespace: 'default', name: 'n'.repeat(300) },
      requestBytes: 5_000_000_000,
      responseBytes: 0,
    });
    await store.finish([record]);
    t.strictSame(await store.find('01A'), {
      ...record,
      errorMessage: 'é'.repeat(1_000),
      object: { group: 'apps', resource: 'deployments/scale', namespace: 'default', name: 'n'.repeat(255) },
    });
    t.equal(await store.find('unknown'), undefined);
    // What no database takes as it is must not take others of the same statement with it.
    const odd = { resultMessage: `nul \0${'x'.repeat(994)}😀`, errorMessage: '\0' };
    await store.finish([finished('01B', odd), finished('01C')]);
    t.match(await store.find('01B'), { resultMessage: /^nul \uFFFDx+\uFFFD$/u, errorMessage: '\uFFFD' });
    t.ok(await store.find('01C'));
  });

  await t.test('pages over pending and ended ones, newest first', async (t) => {
    const at = (minute: number) => 1_700_000_000_000 + minute * 60_000;
    await store.insert([
      operation('P1', { receivedTime: at(1) }),
      operation('P4', { receivedTime: at(4), account: 'test' }),
    ]);
    await store.finish([
      finished('H2', { startTime: at(2) }),
      finished('H3', { startTime: at(3), account: 'test', finalOutcome: 'failed' }),
      finished('H5', { startTime: at(5), finalOutcome: 'failed' }),
    ]);
    const list = async (filter: Partial<Parameters<OperationStore['list']>[0]>) =>
      (await store.list({ items: 10, page: 0, ...filter })).map((record) => record.operationId);
    t.strictSame(await list({}), ['H5', 'P4', 'H3', 'H2', 'P1']);
    t.strictSame(await list({ items: 2, page: 1 }), ['H3', 'H2']);
    t.strictSame(await list({ items: 2, page: 2 }), ['P1']);
    t.strictSame(await list({ items: 2, page: 3 }), []);
    t.strictSame(await list({ account: 'test' }), ['P4', 'H3']);
    t.strictSame(await list({ outcomes: ['failed'] }), ['H5', 'H3']);
    t.strictSame(await list({ outcomes: ['failed'], items: 1, page: 1 }), ['H3']);
    t.strictSame(await list({ outcomes: ['pending'] }), ['P4', 'P1']);
    t.strictSame(await list({ outcomes: ['pending'], items: 1, page: 1 }), ['P1']);
    t.strictSame(await list({ since: at(2), until: at(4) }), ['H3', 'H2']);
    t.match((await store.list({ items: 1, page: 1 }))[0], {
      operationId: 'P4',
      account: 'test',
      startTime: at(4),
      receivedBy: { instanceId: 'replica-1', time: at(4) },
    });
  });

  await t.test('who asked, and for what, is known while it is pending and afterwards', async (t) => {
    const request = {
      caller: 'policy:deployers',
      mode: 'server-side-apply, dry-run',
      object: {
        group: 'apps',
        kind: 'Deployment',
        resource: 'deployments',
        namespace: 'shop',
        name: 'web',
        selector: 'app=web',
        others: ['Service shop/web', 'and 3 more'],
      },
    };
    await store.insert([operation('P1', request), operation('P2')]);
    t.match(await store.unfinished({ limit: 1 }), [request], 'for an instance that adopts it');
    t.match(await store.find('P1'), request);
    const plain = await store.find('P2');
    t.notOk(plain !== undefined && ('caller' in plain || 'object' in plain || 'mode' in plain));
    await store.finish([finished('P1', request)]);
    t.match(await store.find('P1'), { ...request, finalOutcome: 'completed' });
    const api = { group: '', resource: 'pods/exec', namespace: 'shop', name: 'web-1' };
    await store.note([finished('A1', { object: api, verb: 'create' })]);
    t.strictSame((await store.find('A1'))?.object, api);
    await store.note([finished('A2', { object: { ...api, resource: '/version/x' } })]);
    t.equal((await store.find('A2'))?.object?.resource, '/version/x');
  });

  await t.test('filters, alone and together, over pending and ended ones', async (t) => {
    const at = (minute: number) => 1_700_000_000_000 + minute * 60_000;
    const object = (kind: string, namespace: string, name: string) => ({
      group: '',
      kind,
      resource: `${kind.toLowerCase()}s`,
      namespace,
      name,
    });
    await store.insert([
      operation('P1', {
        receivedTime: at(9),
        caller: 'alice',
        object: object('Pod', 'shop', 'web'),
        agentId: 'agent-7',
        receivedByInstanceId: 'replica-7',
      }),
    ]);
    await store.note([
      finished('H1', { startTime: at(1), caller: 'alice', object: object('Pod', 'shop', 'web') }),
      finished('H2', {
        startTime: at(2),
        caller: 'bob',
        object: { ...object('Pod', 'shop', 'web'), resource: 'pods/exec' },
      }),
      finished('H3', {
        startTime: at(3),
        operationType: 'scale',
        finalOutcome: 'failed',
        errorMessage: 'Disk full: 100%',
      }),
      finished('H4', {
        startTime: at(4),
        finalOutcome: 'timed out',
        account: 'sim-46-1',
        sentToAgent: { agentId: 'agent-7', time: at(4) },
        processedBy: { instanceId: 'replica-7', time: at(4) },
        receivedBy: { instanceId: 'replica-7', time: at(4) },
      }),
      finished('H5', { startTime: at(5), processedBy: { instanceId: 'replica-7', time: at(5) } }),
    ]);
    const list = async (filter: Partial<Parameters<OperationStore['list']>[0]>) =>
      (await store.list({ items: 10, ...filter })).map((record) => record.operationId).join(' ');
    t.equal(await list({ resources: ['pods', 'pod'] }), 'P1 H2 H1', 'with and without a subresource');
    t.equal(await list({ namespace: 'shop', name: 'web', caller: 'alice' }), 'P1 H1');
    t.equal(await list({ caller: 'alice', outcomes: ['completed'] }), 'H1');
    t.equal(await list({ caller: 'alice', outcomes: ['pending', 'failed'] }), 'P1');
    t.equal(await list({ caller: 'nobody', outcomes: ['completed', 'failed'] }), '');
    t.equal(await list({ outcomes: ['failed', 'timed out'] }), 'H4 H3');
    t.equal(await list({ outcomes: ['failed', 'timed out'], items: 1, page: 1 }), 'H3');
    t.equal(await list({ type: 'scale' }), 'H3');
    t.equal(await list({ agentId: 'agent-7' }), 'P1 H4');
    t.equal(await list({ instanceId: 'replica-7' }), 'P1 H5 H4', 'received or processed by it, each once');
    t.equal(await list({ instanceId: 'replica-7', outcomes: ['timed out'] }), 'H4');
    t.equal(await list({ search: 'SIM-46' }), 'H4');
    t.equal(await list({ search: 'full: 100%' }), 'H3');
    t.equal(await list({ search: '1%0' }), '', 'no character is a wildcard');
    t.equal(await list({ search: 'we' }), 'P1 H2 H1');
    t.equal(await list({ search: 'we', caller: 'bob', since: at(2), until: at(3) }), 'H2');
  });

  await t.test('a list goes on where a page ended, also among records of one moment', async (t) => {
    await store.note(Array.from({ length: 7 }, (_, index) => finished(`H${index}`, { caller: 'alice' })));
    await store.insert([operation('P0', { caller: 'alice' })]);
    for (const filter of [{}, { caller: 'alice' }, { caller: 'alice', account: 'prod' }, { search: 'pro' }]) {
      const seen: string[] = [];
      let next: Parameters<OperationStore['page']>[0]['after'];
      do {
        const page = await store.page({ items: 3, after: next, ...filter });
        seen.push(...page.records.map(({ operationId }) => operationId));
        next = page.next;
      } while (next !== undefined);
      t.strictSame(seen, ['P0', 'H6', 'H5', 'H4', 'H3', 'H2', 'H1', 'H0'], JSON.stringify(filter));
    }
  });

  await t.test('a search looks at a limited number of candidates, and says where it goes on', async (t) => {
    const common = Array.from({ length: 11_000 }, (_, index) =>
      finished(`H${String(index).padStart(5, '0')}`, { startTime: 1_700_000_000_000 + index, caller: 'alice' }),
    );
    common[3] = { ...finished('H00003', { startTime: 1_700_000_000_003, errorMessage: 'needle' }), caller: 'alice' };
    await store.note(common);
    let pages = 0;
    const found: string[] = [];
    let next: Parameters<OperationStore['page']>[0]['after'];
    do {
      const page = await store.page({ items: 10, search: 'needle', caller: 'alice', after: next });
      found.push(...page.records.map(({ operationId }) => operationId));
      next = page.next;
      pages += 1;
    } while (next !== undefined && pages < 10);
    t.strictSame(found, ['H00003']);
    t.equal(pages, 3);
    const replica = await store.page({ items: 10, instanceId: 'replica-7' });
    t.match(replica, { records: [], next: { id: '' } }, 'one that handles nothing is looked for by time');
    const rare = await store.page({ items: 10, caller: 'nobody', outcomes: ['completed'] });
    t.strictSame(rare, { records: [] }, 'a filter that matches rarely is searched to the end at once');
  });

  await t.test('refused requests have a record that is replaced while they are counted', async (t) => {
    const refused = (count: number) =>
      finished('R1', {
        finalOutcome: 'refused',
        digest: '',
        reason: 'no-agent',
        count,
        caller: 'alice',
        errorMessage: 'no agent',
        object: { group: 'apps', kind: 'Deployment', resource: 'deployments', namespace: 'shop', name: 'web' },
      });
    await store.countRefusals([refused(1), { ...refused(5), operationId: 'R2', account: 'x'.repeat(300) }]);
    await store.countRefusals([refused(42)]);
    t.match(await store.find('R1'), refused(42));
    t.equal((await store.list({ items: 10, outcomes: ['refused'] })).length, 2);
  });

  await t.test('unfinished ones by account, receiver and deadline, in pages', async (t) => {
    await store.insert([
      operation('01', { account: 'a', receivedByInstanceId: 'x', timeoutMs: -2_000 }),
      operation('02', { account: 'b', receivedByInstanceId: 'x', timeoutMs: -1_000 }),
      operation('03', { account: 'c', receivedByInstanceId: 'y', timeoutMs: 60_000 }),
    ]);
    const ids = async (filter: Partial<Parameters<OperationStore['unfinished']>[0]>) =>
      (await store.unfinished({ limit: 10, ...filter })).map(({ id }) => id);
    t.strictSame(await ids({ accounts: ['a', 'c'] }), ['01', '03']);
    t.strictSame(await ids({ accounts: [] }), []);
    t.strictSame(await ids({ receivedByInstanceId: 'x' }), ['01', '02']);
    t.strictSame(await ids({ overdueMs: 0 }), ['01', '02']);
    t.match(await store.unfinished({ limit: 1, after: '02' }), [{ id: '03', agentId: 'agent-1', timeoutMs: 60_000 }]);
    await store.bind('03', { agentId: 'agent-2', epoch: 7 });
    const [bound] = await store.unfinished({ limit: 1, after: '02' });
    t.match(bound, { agentId: 'agent-2', agentEpoch: 7 });
    t.ok(bound !== undefined && bound.timeLeftMs > 0 && bound.timeLeftMs <= 60_000);
    t.strictSame(await ids({ limit: 2 }), ['01', '02']);
    t.strictSame(await ids({ limit: 2, after: '02' }), ['03']);
  });

  await t.test('a purge deletes old history, in bounds', async (t) => {
    const hourMs = 3_600_000;
    const startTime = (index: number): number => Date.now() - (10 - index) * hourMs;
    await store.finish(
      Array.from({ length: 10 }, (_, index) => finished(`0${index}`, { startTime: startTime(index) })),
    );
    t.equal(await store.purge(3.5 * hourMs, 5), 5);
    t.equal(await store.purge(3.5 * hourMs, 5), 2);
    t.equal(await store.purge(3.5 * hourMs, 5), 0);
    t.strictSame(
      (await store.list({ items: 10, page: 0 })).map((record) => record.operationId),
      ['09', '08', '07'],
    );
  });
});
