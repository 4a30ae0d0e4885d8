/** Who may register what: identities, policies and zones, and what the newest registration means for others. */

import { test, type Test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { CachingSwitches } from '../../../src/gateway/agents/caching-assignment/switches.js';
import { Claims } from '../../../src/gateway/agents/claims.js';
import { OwnershipService } from '../../../src/gateway/agents/ownership.js';
import type { AgentPrincipal } from '../../../src/gateway/agents/principal.js';
import type { RegistrationRequest } from '../../../src/gateway/agents/registration-request.js';
import { Registrations } from '../../../src/gateway/agents/registrations.js';
import { Registry } from '../../../src/gateway/agents/registry.js';
import { Session } from '../../../src/gateway/agents/session.js';
import { createMetrics } from '../../../src/gateway/telemetry/metrics.js';
import { OwnershipMap } from '../../../src/store/mirror/ownership-map.js';
import { recordingLogger } from '../../discovery/recording-logger.js';
import { registrations as accountsNamed, TruthDouble } from '../../store/mirror/replicas.js';
import { frames, TransportDouble } from './session-double.js';

const here = 'here';
const signal = AbortSignal.timeout(120_000);
const startedAt = 1_700_000_000_000;

/** An identity that may have everything, until a test says otherwise. */
class PrincipalDouble implements AgentPrincipal {
  readonly expiresAt = undefined;
  policed = false;
  zones: readonly string[] | undefined;
  accounts: readonly string[] | undefined;
  invalid: GatewayError | undefined;

  constructor(readonly name: string) {}

  mayHaveZone(zoneId: string): boolean {
    return this.zones?.includes(zoneId) ?? true;
  }

  mayHaveAccount(name: string): boolean {
    return this.accounts?.includes(name) ?? true;
  }

  reauthorize(): void {
    if (this.invalid !== undefined) throw this.invalid;
  }
}

function setUp(t: Test) {
  const truth = new TruthDouble();
  const map = new OwnershipMap();
  const logger = recordingLogger();
  const metrics = createMetrics(here, 'test');
  const ownership = new OwnershipService({ assignments: truth, map, logger });
  let epoch = 0;
  const nextEpochs = async (count: number): Promise<number> => (epoch += count) - count + 1;
  const lease = { sure: true, term: 0 };
  const claims = new Claims({ ownership, nextEpochs, lease, cachingGraceMs: 3_500, timeoutMs: 30_000, logger });
  const times = {
    alone: { quietMs: 1_000, silenceMs: 3_000, lostMs: 5_000 },
    sharing: { quietMs: 500, silenceMs: 1_500, lostMs: 5_000 },
  };
  const told: number[] = [];
  const telling = {
    ...frames,
    ping: (sequence: number, periodMs: number) => (told.push(periodMs), frames.ping(sequence, periodMs)),
  };
  let now = 0;
  const registry = new Registry({
    instanceId: here,
    ownership,
    claims,
    presence: { connected: () => undefined, left: () => undefined },
    frames: telling,
    times,
    logger,
    metrics,
    lateResultMs: 1_000,
    now: () => startedAt + now,
  });
  registry.start();
  const caching = new CachingSwitches({ registry, ownership, frames: telling, lease });
  t.teardown(caching.start());
  t.teardown(() => registry.stop(new GatewayError('draining', 'the test is over')));
  const zones: string[] = [];
  const state = { zoneIsFree: true };
  const registrations = new Registrations({
    instanceId: here,
    registry,
    claims,
    ownership,
    caching,
    bindZone: async (zoneId, principal) => {
      zones.push(`${zoneId} ${principal}`);
      return state.zoneIsFree;
    },
    frames: telling,
    logger,
    maxAccountsPerAgent: 10,
  });
  const register = async (
    agentId: string,
    accounts: readonly string[],
    change: Partial<RegistrationRequest> = {},
    principal?: AgentPrincipal,
  ) => {
    const transport = new TransportDouble();
    const session = new Session(transport, { maxInFlight: 10, queueLimit: 10 }, () => now, principal);
    registry.opened(session);
    const request = {
      agentId,
      zoneId: '',
      version: '',
      dynamicAccounts: false,
      kubernetesApi: false,
      accounts: accountsNamed(...accounts),
      ...change,
    };
    await registrations.register(session, request, signal);
    return { session, transport };
  };
  return {
    truth,
    map,
    registry,
    registrations,
    claims,
    zones,
    state,
    register,
    told,
    logger,
    pass: (ms: number) => (now += ms),
  };
}

test('what an identity may not have is refused by name, before anything is claimed', async (t) => {
  const { register, truth } = setUp(t);
  const principal = new PrincipalDouble('team-a');
  principal.zones = ['zone-a'];
  principal.accounts = ['a'];
  const zone = { code: 'permission-denied', details: { field: 'register.zone_id' } };
  await t.rejects(register('agent', ['a'], { zoneId: 'zone-b' }, principal), zone);
  const accounts = { code: 'permission-denied', details: { field: 'register.accounts', accounts: ['b', 'c'] } };
  await t.rejects(register('agent', ['a', 'b', 'c'], { zoneId: 'zone-a' }, principal), accounts);
  t.equal(truth.accounts.size, 0);
  const { session } = await register('agent', ['a'], { zoneId: 'zone-a' }, principal);
  t.equal(session.state, 'active');
});

test('a policy that changes while the claims are written counts: what was claimed is released', async (t) => {
  const { register, truth, registry, claims } = setUp(t);
  const principal = new PrincipalDouble('team-a');
  let open = (): void => undefined;
  truth.gate = new Promise((resolve) => (open = resolve));
  const registering = register('agent', ['a'], {}, principal);
  principal.accounts = [];
  open();
  await t.rejects(registering, { code: 'permission-denied' });
  await claims.settled();
  t.same(truth.accounts.get('a')?.assignments, []);
  t.equal(registry.accountCount, 0);
});

test('a zone without a principal belongs to the first identity that takes dynamic accounts in it', async (t) => {
  const { register, zones, state } = setUp(t);
  const dynamic = { zoneId: 'zone', dynamicAccounts: true, kubernetesApi: false };
  await register('agent', ['a'], dynamic, new PrincipalDouble('team-a'));
  t.same(zones, ['zone team-a']);
  state.zoneIsFree = false;
  const taken = { code: 'permission-denied', details: { field: 'register.zone_id' } };
  await t.rejects(register('other', ['b'], dynamic, new PrincipalDouble('team-b')), taken);
});

test('nobody binds a zone who has it by policy, takes no dynamic accounts, or has proven nothing', async (t) => {
  const { register, zones } = setUp(t);
  const policed = new PrincipalDouble('team-a');
  policed.policed = true;
  await register('agent-1', ['a'], { zoneId: 'zone', dynamicAccounts: true, kubernetesApi: false }, policed);
  await register('agent-2', ['b'], { zoneId: 'zone' }, new PrincipalDouble('team-a'));
  await register('agent-3', ['c'], { dynamicAccounts: true, kubernetesApi: false }, new PrincipalDouble('team-a'));
  await register('agent-4', ['d'], { zoneId: 'zone', dynamicAccounts: true, kubernetesApi: false });
  t.same(zones, []);
});

test("an identity cannot take the place of another one's agent by its id", async (t) => {
  const { register, registry } = setUp(t);
  const first = await register('agent', ['a'], {}, new PrincipalDouble('team-a'));
  const other = await register('agent', ['b'], {}, new PrincipalDouble('team-b'));
  t.same([first.session.state, other.session.state], ['active', 'active']);
  t.equal(registry.agentCount, 2);
  await register('agent', ['a'], {}, new PrincipalDouble('team-a'));
  t.match(first.transport.ends, [{ code: 'replaced' }]);
  t.equal(other.session.state, 'active');
});

test('when policies or tokens change, streams that may no longer have what they have end, and no others', async (t) => {
  const { register, registry } = setUp(t);
  const [narrowed, invalid, unchanged] = [new PrincipalDouble('a'), new PrincipalDouble('b'), new PrincipalDouble('c')];
  const ends = [
    (await register('agent-1', ['a', 'b'], {}, narrowed)).transport.ends,
    (await register('agent-2', ['c'], {}, invalid)).transport.ends,
    (await register('agent-3', ['d'], {}, unchanged)).transport.ends,
    (await register('agent-4', ['e'])).transport.ends,
  ];
  narrowed.accounts = ['a'];
  invalid.invalid = new GatewayError('unauthenticated', 'revoked');
  registry.reauthorize();
  const codes = ends.map((all) => all.map((error) => error?.code));
  t.same(codes, [['permission-denied'], ['unauthenticated'], [], []]);
});

test('an agent is disconnected on request, with its claims released; a stream opened since then stays', async (t) => {
  const { register, registry, truth, pass } = setUp(t);
  const { transport } = await register('agent', ['a']);
  const requestedAt = startedAt;
  pass(1_000);
  const later = await register('other', ['b']);
  t.equal(await registry.disconnect('other', requestedAt), false);
  t.equal(later.session.state, 'active');
  t.equal(await registry.disconnect('agent', requestedAt), true);
  t.match(transport.ends, [{ code: 'cancelled' }]);
  t.same(truth.accounts.get('a')?.assignments, [], 'by the time of the answer');
  t.equal(await registry.disconnect('agent', requestedAt), false);
});

test('an agent that shares an account from now on is told at once to give up a silent replica sooner', async (t) => {
  const { register, told } = setUp(t);
  await register('agent', ['a']);
  const [alone] = told;
  told.length = 0;
  await register('other', ['a']);
  t.equal(told.length, 2, 'both');
  t.ok(told.every((periodMs) => periodMs < alone!));
});

test('a stream that is closed twice is released once', async (t) => {
  const { register, registry, logger } = setUp(t);
  const { session } = await register('agent', ['a']);
  registry.closed(session);
  registry.closed(session, new GatewayError('agent-lost', 'silent'));
  t.same(
    logger.lines.filter(({ message }) => message === 'agent disconnected').map(({ fields }) => fields),
    [{ agentId: 'agent', epoch: 1, reason: 'ended by the agent' }],
  );
});
