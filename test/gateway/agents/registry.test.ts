/** Sessions by agent and account: who of two connections stays, what is released, and what each agent is told. */

import { setImmediate as turn } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { silentLogger } from '../../../src/core/logger.js';
import { Claims } from '../../../src/gateway/agents/claims.js';
import { OwnershipService } from '../../../src/gateway/agents/ownership.js';
import { CachingSwitches } from '../../../src/gateway/agents/caching-assignment/switches.js';
import { Registrations } from '../../../src/gateway/agents/registrations.js';
import { Registry } from '../../../src/gateway/agents/registry.js';
import { Session } from '../../../src/gateway/agents/session.js';
import { createMetrics } from '../../../src/gateway/telemetry/metrics.js';
import { OwnershipMap } from '../../../src/store/mirror/ownership-map.js';
import type { AccountRegistration } from '../../../src/store/accounts/account-record.js';
import type { Connection, Ownership } from '../../../src/store/assignments/ownership.js';
import type { ReleaseRequest } from '../../../src/store/assignments/release.js';
import { TruthDouble } from '../../store/mirror/replicas.js';
import type { Binding } from '../../../src/protocol/wire.js';
import { waitFor } from '../../wait.js';
import { frames, TransportDouble } from './session-double.js';

const instanceId = 'gateway-1';
const signal = AbortSignal.timeout(120_000);

/** SQL's rules, with the one that the newest connection of an agent stays. */
class FencedTruth extends TruthDouble {
  readonly released: number[] = [];
  /** By epoch. */
  readonly cachingGraceMs = new Map<number, number>();
  /** A claim of this epoch waits for it, before it is written. */
  readonly before = new Map<number, Promise<void>>();

  override async claim(connection: Connection, accounts: readonly AccountRegistration[]): Promise<Ownership[]> {
    await this.before.get(connection.epoch);
    const stale = accounts.filter(({ name }) =>
      this.accounts
        .get(name)
        ?.assignments.some(({ agentId, epoch }) => agentId === connection.agentId && epoch > connection.epoch),
    );
    const fresh = await super.claim(
      connection,
      accounts.filter((account) => !stale.includes(account)),
    );
    return [...fresh, ...stale.map(({ name }) => this.accounts.get(name)!)];
  }

  override release(
    connection: ReleaseRequest['connection'],
    accounts: readonly string[],
    cachingGraceMs: number,
  ): Promise<Ownership[]> {
    this.released.push(connection.epoch);
    this.cachingGraceMs.set(connection.epoch, cachingGraceMs);
    return super.release(connection, accounts, cachingGraceMs);
  }
}

const registration = (name: string): AccountRegistration => ({
  ...{ name, kubeHost: '', kubeVersion: '', certFingerprint: '', maxWatchAgeSeconds: 0 },
  ...{ namespaces: [], properties: {} },
});

function setUp(t: Test) {
  const lease = { sure: true, term: 0 };
  const truth = new FencedTruth();
  const map = new OwnershipMap();
  const ownership = new OwnershipService({ assignments: truth, map, logger: silentLogger });
  let epoch = 0;
  const claims = new Claims({
    ownership,
    nextEpochs: (count) => {
      epoch += count;
      return Promise.resolve(epoch - count + 1);
    },
    lease,
    cachingGraceMs: 3_500,
    timeoutMs: 30_000,
    logger: silentLogger,
  });
  const registry = new Registry({
    presence: { connected: () => undefined, left: () => undefined },
    ...{ instanceId, ownership, frames, logger: silentLogger, metrics: createMetrics(instanceId, 'test') },
    ...{
      claims,
      times: {
        alone: { quietMs: 1_000, silenceMs: 3_000, lostMs: 5_000 },
        sharing: { quietMs: 500, silenceMs: 3_000, lostMs: 5_000 },
      },
      lateResultMs: 1_000,
      now: () => 1_000,
    },
  });
  const caching = new CachingSwitches({ registry, ownership, frames, lease });
  const registrations = new Registrations({
    ...{ instanceId, registry, claims, ownership, caching, frames, logger: silentLogger },
    bindZone: () => Promise.resolve(true),
    maxAccountsPerAgent: 10,
  });
  registry.start();
  t.teardown(caching.start());
  t.teardown(() => registry.stop(new GatewayError('draining', 'the test is over')));
  const open = (): { session: Session; transport: TransportDouble } => {
    const transport = new TransportDouble();
    const session = new Session(transport, { maxInFlight: 10, queueLimit: 10 }, () => 0);
    registry.opened(session);
    return { session, transport };
  };
  /** @param agent its id, and after a "/" its process */
  const register = (session: Session, agent: string, ...accounts: readonly string[]): Promise<void> => {
    const dynamicAccounts = accounts.length === 0;
    const [agentId = '', processId] = agent.split('/');
    const request = {
      ...{
        agentId,
        zoneId: '',
        version: '',
        dynamicAccounts,
        kubernetesApi: false,
        accounts: accounts.map(registration),
      },
      ...(processId === undefined ? {} : { processId }),
    };
    return registrations.register(session, request, signal);
  };
  const registered = async (agentId: string, ...accounts: readonly string[]) => {
    const opened = open();
    await register(opened.session, agentId, ...accounts);
    return opened;
  };
  const deliver = (id: string, account: string, binding?: Binding) =>
    registry.deliver(
      { id, account, traceparent: '', originatingInstanceId: 'other', timeoutMs: 100, binding },
      Buffer.from(id),
    );
  return { lease, truth, map, ownership, registry, registrations, caching, open, register, registered, deliver };
}

test('an agent is told that it is registered, then what it caches', async (t) => {
  const { registered } = setUp(t);
  const { transport, session } = await registered('agent-1', 'a', 'b');
  await turn();
  t.same(transport.sent, ['registered 1', 'ping 0', 'caching +a,b -']);
  t.match(session.agent, { agentId: 'agent-1', epoch: 1 });
  const second = await registered('agent-2', 'b', 'c');
  await turn();
  t.same(second.transport.sent, ['registered 2', 'ping 0', 'caching +c -'], 'b is cached by the first one already');
});

test('only an agent that ended its stream by itself hands caching over at once', async (t) => {
  const { registered, registry, truth } = setUp(t);
  const agents = [await registered('agent-1', 'a'), await registered('agent-2', 'a'), await registered('agent-3', 'a')];
  registry.closed(agents[0]!.session);
  registry.closed(agents[1]!.session, new GatewayError('cancelled', 'the connection broke'));
  registry.closed(agents[2]!.session, new GatewayError('agent-lost', 'silent'), 200);
  await waitFor(() => truth.released.length === 3);
  t.same(Object.fromEntries(truth.cachingGraceMs), { 1: 0, 2: 3_500, 3: 200 });
});

test('while the lease is not sure nobody caches here; once it is, the truth is followed again', async (t) => {
  const { registered, registrations, caching } = setUp(t);
  const { transport, session } = await registered('agent-1', 'a', 'b');
  caching.stop();
  await turn();
  t.same(transport.sent.slice(3), ['caching + -a,b']);
  t.equal(session.caching.size, 0);
  await registrations.reclaim(new AbortController().signal);
  t.same([...session.caching].toSorted(), ['a', 'b']);
  t.equal(
    transport.sent.slice(4).every((frame) => frame.startsWith('caching +')),
    true,
    'the agent is told',
  );
});

test('while the lease is not sure no agent begins to cache, whatever is heard and whoever comes', async (t) => {
  const { lease, registered, registry, registrations, caching, ownership } = setUp(t);
  const { transport, session } = await registered('agent-1', 'a');
  caching.stop();
  await registered('agent-2', 'a');
  const second = await registered('agent-2', 'b');
  t.same([...session.caching], [], 'a change of its account is heard');
  t.same([...second.session.caching], [], 'a new one');
  await registrations.reclaim(new AbortController().signal);
  t.same([...session.caching, ...second.session.caching], ['a', 'b']);
  await waitFor(() => transport.sent.filter((frame) => frame === 'caching +a -').length === 2);

  lease.sure = false;
  const third = await registered('agent-3', 'c');
  t.same([...third.session.caching], [], 'before anybody says so');
  lease.sure = true;
  caching.stop();
  const ofInstance = ownership.ofInstance.bind(ownership);
  ownership.ofInstance = async function* (id, signal) {
    yield* ofInstance(id, signal);
    // The other agent of an account that was read just now leaves.
    registry.closed(session);
  };
  await registrations.reclaim(new AbortController().signal);
  t.same([...second.session.caching, ...third.session.caching], ['b', 'c']);
});

test('operations go to the agent with the fewest under way, and last to one that leaves', async (t) => {
  const { registered, deliver, registry } = setUp(t);
  const [first, second] = [await registered('agent-1', 'a'), await registered('agent-2', 'a')];
  const agents = [deliver('1', 'a'), deliver('2', 'a'), deliver('3', 'a'), deliver('4', 'a')].map(
    ({ agentId }) => agentId,
  );
  t.same(agents, ['agent-1', 'agent-2', 'agent-1', 'agent-2']);
  first.session.leaving = true;
  t.equal(deliver('5', 'a').agentId, 'agent-2');
  t.equal(deliver('6', 'a', { agentId: 'agent-1', epoch: 1 }).agentId, 'agent-1', 'unless it has to be that one');
  second.session.leaving = true;
  t.match(registry.choose('a', undefined), { agentId: 'agent-1', epoch: 1 }, 'both leave: the less busy one');
  t.throws(() => deliver('7', 'a', { agentId: 'agent-3', epoch: 1 }), {
    code: 'not-owner',
    details: { account: 'a', operationId: '7', instanceId },
  });
  t.throws(() => deliver('7', 'nothing'), { code: 'not-owner' });
});

test('a bound operation goes to the process that it is bound to, and to no rival of it', async (t) => {
  const { registered, deliver, registry } = setUp(t);
  const [one, other] = ['process-aaaaaaaaaaaa', 'process-bbbbbbbbbbbb'];
  await registered(`agent-1/${one}`, 'a');
  const binding = registry.choose('a', undefined);
  t.match(binding, { agentId: 'agent-1', epoch: 1, processId: one });
  deliver('1', 'a', binding);
  const rival = await registered(`agent-1/${other}`, 'a');
  t.throws(() => deliver('1', 'a', binding), { code: 'not-owner' });
  t.equal(rival.session.take('1'), undefined, 'the rival takes nothing over');
  await registered(`agent-1/${one}`, 'a');
  t.equal(deliver('1', 'a', binding).epoch, 3, 'the process is back');
  await registered('agent-2', 'b');
  const unnamed = registry.choose('b', undefined);
  t.equal(deliver('2', 'b', unnamed).epoch, 4, 'the same connection is the same process');
  await registered('agent-2', 'b');
  t.throws(() => deliver('2', 'b', unnamed), { code: 'not-owner' }, 'nobody knows whose the next one is');
  await t.rejects(registered('agent-3/1', 'c'), { message: /^register.process_id: /u });
});

test('a newer connection takes over what the older one has under way, and ends it', async (t) => {
  const { registered, deliver, truth, registry } = setUp(t);
  const older = await registered('agent-1', 'a');
  deliver('operation', 'a');
  const newer = await registered('agent-1', 'a');
  t.match(older.transport.ends, [{ code: 'replaced' }]);
  t.match(newer.session.take('operation'), { account: 'a', originatingInstanceId: 'other' });
  t.same([...registry.sessions], [newer.session]);
  await waitFor(() => truth.released.length > 0);
  t.match(truth.accounts.get('a'), { assignments: [{ epoch: 2 }] }, 'the release of the older one changes nothing');
  t.equal(deliver('next', 'a').epoch, 2);
});

test('of two registrations at the same time the one with the higher number stays', async (t) => {
  for (const accounts of [['a'], []]) {
    const { open, register, registered, truth, registry } = setUp(t);
    let proceed = (): void => undefined;
    truth.before.set(1, new Promise((resolve) => (proceed = resolve)));
    const slow = open();
    const registering = register(slow.session, 'agent-1', ...accounts);
    // Not in one transaction with the next one.
    await turn();
    await turn();
    const quick = await registered('agent-1', ...accounts);
    proceed();
    await t.rejects(registering, { code: 'replaced', details: { agentId: 'agent-1' } });
    registry.closed(slow.session, new GatewayError('replaced', 'as the gRPC service does'));
    t.same([...registry.sessions], [quick.session]);
    t.same(quick.transport.ends, []);
  }
});

test('a stream that ends while it registers leaves nothing behind', async (t) => {
  const { open, register, registered, truth, registry } = setUp(t);
  const older = await registered('agent-1', 'a');
  let proceed = (): void => undefined;
  truth.before.set(2, new Promise((resolve) => (proceed = resolve)));
  const { session, transport } = open();
  const registering = register(session, 'agent-1', 'a');
  registry.closed(session);
  proceed();
  await registering;
  await turn();
  t.same(transport.sent, []);
  t.match(older.transport.ends, [{ code: 'replaced' }], 'the older one, whose claims are gone, ends too');
  await waitFor(() => truth.accounts.get('a')?.assignments.length === 0);
  t.equal(registry.sessions.size, 0);
  t.equal(registry.accountCount, 0);
});

test('claims of a registration that failed are released: they may have been written', async (t) => {
  const { open, register, truth } = setUp(t);
  truth.failure = new GatewayError('dependency-unavailable', 'SQL is away');
  await t.rejects(register(open().session, 'agent-1', 'a'), { code: 'dependency-unavailable' });
  truth.failure = undefined;
  await waitFor(() => truth.released.includes(1));
});

test('a newer connection on another instance ends the stream here', async (t) => {
  const { registered, map, registry } = setUp(t);
  const { transport } = await registered('agent-1', 'a');
  const assignments = [{ agentId: 'agent-1', instanceId: 'gateway-2', epoch: 9, caching: true }];
  map.set({ account: 'a', version: 9, assignments });
  t.match(transport.ends, [{ code: 'replaced' }]);
  t.equal(registry.accountCount, 0);
});

test('caching follows the truth, one frame per agent and change', async (t) => {
  const { registered, map } = setUp(t);
  const { transport, session } = await registered('agent-1', 'a', 'b');
  const caching = (account: string, version: number, on: boolean): void =>
    void map.set({ account, version, assignments: [{ agentId: 'agent-1', instanceId, epoch: 1, caching: on }] });
  caching('a', 5, false);
  caching('a', 6, false);
  caching('a', 7, true);
  await turn();
  t.same(transport.sent.slice(3), ['caching + -a', 'caching +a -']);
  transport.writable = false;
  for (let version = 8; session.state === 'active' && version < 100; version += 1)
    caching('a', version, version % 2 === 0);
  t.match(
    transport.ends,
    [{ code: 'overloaded' }],
    'one that does not read is ended, and is told anew when it comes back',
  );
});

test('accounts are added and removed on an open stream', async (t) => {
  const { registered, registry, registrations, truth } = setUp(t);
  const { session, transport } = await registered('agent-1', 'a');
  await registrations.addAccounts(session, [registration('b')], signal);
  await turn();
  t.same(transport.sent.at(-1), 'caching +b -');
  t.equal(registry.accountCount, 2);
  await registrations.removeAccounts(session, ['a', 'somebody-elses'], signal);
  t.same(truth.accounts.get('a')?.assignments, []);
  t.equal(registry.choose('a', undefined), undefined);
  await t.rejects(
    registrations.addAccounts(
      session,
      Array.from({ length: 10 }, (_, n) => registration(`c${n}`)),
      signal,
    ),
    {
      code: 'overloaded',
    },
  );
});

test('a draining instance refuses registrations and ends what is left at the stop', async (t) => {
  const { registered, registry, registrations, register, open, truth } = setUp(t);
  const { transport } = await registered('agent-1', 'a');
  registrations.refuse(new GatewayError('draining', 'shutting down'));
  await t.rejects(register(open().session, 'agent-2', 'b'), { code: 'draining' });
  t.same(transport.ends, [], 'who is registered stays');
  await registry.stop(new GatewayError('draining', 'shutting down'));
  t.match(transport.ends, [{ code: 'draining' }]);
  t.same(truth.accounts.get('a')?.assignments, [], 'its claims are released by then');
});

test('claims that others have taken meanwhile end the stream at reclaim()', async (t) => {
  const { registered, registrations, truth } = setUp(t);
  const [lost, kept] = [await registered('agent-1', 'a'), await registered('agent-2', 'b')];
  const assignments = [{ agentId: 'agent-1', instanceId: 'gateway-2', epoch: 99, caching: true }];
  truth.accounts.set('a', { account: 'a', version: 99, assignments });
  truth.accounts.set('b', { account: 'b', version: 99, assignments: [] });
  await registrations.reclaim(signal);
  t.match(lost.transport.ends, [{ code: 'replaced' }]);
  t.same(kept.transport.ends, []);
  t.match(truth.accounts.get('b'), { assignments: [{ agentId: 'agent-2', instanceId, epoch: 2 }] });
});

test('dynamic accounts that are to be served no more are told to the agent that still has them', async (t) => {
  const { truth, open, registry, registrations } = setUp(t);
  const claim = truth.claim.bind(truth);
  truth.claim = async (connection, accounts) =>
    (await claim(connection, accounts)).filter(({ account }) => account !== 'gone');
  const { session, transport } = open();
  const accounts = [
    registration('own'),
    ...['kept', 'gone'].map((name) => ({ ...registration(name), dynamicVersion: 3 })),
  ];
  await registrations.register(
    session,
    { agentId: 'a', zoneId: 'z', version: '', dynamicAccounts: true, kubernetesApi: false, accounts },
    signal,
  );
  t.same([...session.accounts.keys()], ['own', 'kept']);
  const dismissals = () => transport.sent.filter((frame) => frame === 'delete gone').length;
  await waitFor(() => dismissals() === 1);
  await registrations.addAccounts(session, [{ ...registration('gone'), dynamicVersion: 4 }], signal);
  t.same([...session.accounts.keys()], ['own', 'kept']);
  await waitFor(() => dismissals() === 2);
  const asked = session.questions.ask('kept', 5);
  session.questions.answer('kept', 4, { kind: 'done' });
  registry.closed(session);
  t.same(await asked, { kind: 'lost' }, 'an answer to something older does not count, the end of the stream does');
  t.same(await session.questions.ask('kept', 6), { kind: 'lost' });
});
