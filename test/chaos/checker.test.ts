/** The checker: a sound history passes, and each way of breaking it is found and named. */

import { test } from 'tap';
import type { Rule } from './violation.js';
import { check } from './checker.js';
import type { AccountState, FinalState } from './final-state.js';
import type { HistoryEvent } from './history.js';

const account: AccountState = {
  account: 'account-0',
  version: 7,
  assignments: [
    { agentId: 'agent-a', instanceId: 'gateway-0', epoch: 3, caching: false },
    { agentId: 'agent-b', instanceId: 'gateway-1', epoch: 4, caching: true },
  ],
};
const agents = { 'agent-a': 'gateway-0', 'agent-b': 'gateway-1' };
const replicas = ['gateway-0', 'gateway-1'].map((id) => ({ id, agents, mirrorLive: true, mirrorAccounts: 1 }));
const rest: FinalState = {
  pending: [],
  ended: [{ id: 'op-1', outcome: 'completed' }],
  sql: [account],
  redis: [account],
  replicas,
};

const submitted = (t: number, id: string, more: object = {}): HistoryEvent => ({
  ...{ type: 'submitted', t, id, attempt: 1, replica: 'gateway-0', account: 'account-0' },
  ...{ mutating: true, timeoutMs: 1_000, ...more },
});
const answered = (t: number, id: string, status: number, more: object = {}): HistoryEvent => ({
  ...{ type: 'answered', t, id, attempt: 1, replica: 'gateway-0', status, ...more },
});
const executed = (t: number, id: string, more: object = {}): HistoryEvent => ({
  ...{ type: 'executed', t, id, agent: 'agent-b', process: 'agents-1-1', mutating: true, ...more },
});
const caching = (t: number, agent: 'a' | 'b', on: boolean): HistoryEvent => ({
  ...{ type: 'caching', t, agent: `agent-${agent}`, process: agent === 'a' ? 'agents-0-1' : 'agents-1-1' },
  ...{ account: 'account-0', on },
});
const life = (t: number, type: 'started' | 'ended' | 'frozen' | 'thawed', process: string): HistoryEvent => ({
  ...{ t, type, process },
});

/** agent-a cached first, agent-b took over. */
const sound: readonly HistoryEvent[] = [
  { type: 'connected', t: 1, agent: 'agent-a', process: 'agents-0-1', replica: 'gateway-0' },
  { type: 'connected', t: 2, agent: 'agent-b', process: 'agents-1-1', replica: 'gateway-1' },
  caching(3, 'a', true),
  submitted(10, 'op-1'),
  executed(20, 'op-1'),
  answered(30, 'op-1', 200, { resultStatus: 200 }),
  caching(100, 'a', false),
  caching(101, 'b', true),
];

/** The rules that a history breaks beyond the sound one, and a state at rest that is like `rest` but for `final`. */
function broken(more: readonly HistoryEvent[], final: Partial<FinalState> = {}): Rule[] {
  const events = [...sound, ...more].sort((a, b) => a.t - b.t);
  return [...new Set(check(events, { ...rest, ...final }).map(({ rule }) => rule))];
}
const ended = (id: string, outcome: string | null) => ({ ended: [...rest.ended, { id, outcome }] });

test('a sound history breaks no rule', async (t) => {
  t.same(broken([]), []);
});

test('operations', async (t) => {
  const accepted = [submitted(200, 'op-2'), answered(210, 'op-2', 202)];
  t.same(broken(accepted), ['one outcome'], 'accepted and never recorded');
  t.same(broken(accepted, ended('op-2', 'timed out')), [], 'accepted, and timed out later');
  t.same(broken(accepted, ended('op-2', null)), ['one outcome'], 'recorded without an outcome');
  t.same(
    broken(accepted, { ended: [...rest.ended, ...rest.ended, ...ended('op-2', 'failed').ended] }),
    ['one outcome'],
    'recorded twice',
  );
  t.same(broken([], { pending: ['op-1'] }), ['one outcome'], 'recorded and pending');
  t.same(broken([], { pending: ['op-9'] }), ['one outcome'], 'pending, and given by nobody');
  t.same(broken([executed(40, 'op-1')]), ['executed once'], 'executed twice by one agent');
  t.same(
    broken([executed(40, 'op-1', { agent: 'agent-a', process: 'agents-0-1' })]),
    ['executed once'],
    'by two agents',
  );
  t.same(broken([executed(40, 'op-1', { process: 'agents-1-2' })]), ['executed once'], 'by two lives of an agent');
  const read = [submitted(200, 'op-3', { mutating: false }), executed(210, 'op-3', { mutating: false })];
  t.same(broken([...read, executed(220, 'op-3', { mutating: false })]), [], 'reading twice harms nobody');
  t.same(
    broken([submitted(200, 'op-4'), answered(210, 'op-4', 200, { resultStatus: 200 })], ended('op-4', 'completed')),
    ['completed means executed'],
    'answered as completed, and nobody did it',
  );
  const completed = [submitted(200, 'op-5'), executed(205, 'op-5'), answered(210, 'op-5', 200, { resultStatus: 200 })];
  t.same(broken(completed, ended('op-5', 'timed out')), ['answer equals record'], 'answered and recorded differently');
  const refused = [submitted(200, 'op-6'), answered(210, 'op-6', 503, { problem: 'no-agent' })];
  t.same(broken(refused), [], 'refused and not done');
  t.same(broken([...refused, executed(205, 'op-6')]), ['refused means not executed'], 'refused and done');
  const again = [submitted(220, 'op-6', { attempt: 2 }), answered(230, 'op-6', 0, { attempt: 2 })];
  t.same(broken([...refused, ...again, executed(225, 'op-6')]), [], 'refused, then given to one that broke off');
});

test('callers', async (t) => {
  t.same(broken([submitted(200, 'op-2'), answered(2_100, 'op-2', 504)]), [], 'answered within the grace');
  const late = [submitted(200, 'op-2'), answered(2_300, 'op-2', 504)];
  t.same(broken(late), ['caller not kept waiting'], 'answered late');
  t.same(
    broken([...late, life(300, 'frozen', 'gateway-0'), life(900, 'thawed', 'gateway-0')]),
    [],
    'a frozen replica cannot answer',
  );
  t.same(
    broken([...late, life(300, 'frozen', 'gateway-1'), life(900, 'thawed', 'gateway-1')]),
    ['caller not kept waiting'],
    'another one can',
  );
  t.same(broken([...late, { type: 'lag', t: 1_000, ms: 400 }]), [], 'the runner itself was late');
});

test('requests of the Kubernetes API', async (t) => {
  const asked = (method: 'GET' | 'POST'): HistoryEvent => ({
    ...{ type: 'apiAsked', t: 200, id: 'api-1', replica: 'gateway-0', account: 'account-0', method },
  });
  const at = (t: number, type: 'apiReceived' | 'apiEnded', process = 'agents-1-1'): HistoryEvent => ({
    ...{ type, t, id: 'api-1', agent: 'agent-b', process },
  });
  const told = (status: number, more: object = {}): HistoryEvent => ({
    ...{ type: 'apiAnswered', t: 230, id: 'api-1', replica: 'gateway-0', status },
    ...{ retryAfter: false, ids: status === 200 ? ['api-1'] : [], problem: '', ...more },
  });
  const done = [at(210, 'apiReceived'), at(220, 'apiEnded')];
  t.same(broken([asked('POST'), ...done, told(200)]), [], 'answered');
  t.same(broken([asked('POST'), ...done, told(504)]), [], 'lost, and perhaps done');
  t.same(broken([asked('POST'), told(503, { retryAfter: true })]), [], 'refused');
  t.same(broken([asked('GET'), ...done, told(503, { retryAfter: true })]), [], 'reading again harms nobody');
  t.same(
    broken([asked('POST'), ...done, told(503, { retryAfter: true })]),
    ['API refusal means not sent'],
    'a change that the client would make again',
  );
  t.same(broken([asked('GET'), ...done, ...done, told(200)]), ['API request sent once'], 'sent twice');
  t.same(broken([asked('GET'), ...done, told(200, { ids: ['api-1', 'api-2'] })]), ['API answer is its own']);
  t.same(broken([asked('GET'), told(200)]), ['API answer is its own'], 'made up');
  t.same(broken([asked('GET'), told(101)]), ['API answer is its own'], 'upgraded by nobody');
  t.same(broken([asked('GET'), told(421)]), ['API answer is its own'], 'an answer between replicas');
  t.same(broken([asked('GET'), at(210, 'apiReceived'), told(0)]), ['API request ends'], 'left open at the agent');
  t.same(
    broken([asked('GET'), at(210, 'apiReceived', 'agents-1-0'), life(215, 'ended', 'agents-1-0'), told(0)]),
    [],
    'its agent was killed',
  );
  t.same(broken([], { replicas: replicas.map((replica) => ({ ...replica, apiRequestsOpen: 1 })) }), [
    'API request ends',
  ]);
  t.same(broken([asked('GET'), told(0, { problem: 'TimeoutError' })]), ['API caller not kept waiting']);
});

test('caching', async (t) => {
  t.same(broken([caching(200, 'a', true), caching(210, 'a', false)]), ['one cacher'], 'two at a time');
  t.same(broken([caching(200, 'a', true), caching(203, 'a', false)]), [], 'within the precision of the clock');
  t.same(broken([caching(200, 'a', true)]), ['one cacher', 'somebody caches'], 'two to the end');
  t.same(broken([caching(200, 'b', false)]), ['somebody caches'], 'nobody in the end');
  t.same(
    broken([], { sql: [{ ...account, assignments: [] }], redis: [{ ...account, assignments: [] }] }),
    [],
    'nobody is there',
  );
  // agent-b is killed with its process while it caches, and agent-a takes over.
  const takenOver = [life(200, 'ended', 'agents-1-1'), caching(201, 'a', true)];
  const alone = { ...account, assignments: [{ ...account.assignments[0]!, caching: true }] };
  const left = {
    sql: [alone],
    redis: [alone],
    replicas: replicas.map((replica) => ({ ...replica, agents: { 'agent-a': 'gateway-0' } })),
  };
  t.same(broken(takenOver, left), [], 'a killed agent caches nothing');
  t.same(
    broken([life(300, 'ended', 'agents-1-1'), caching(201, 'a', true)], left),
    ['one cacher'],
    'one that lives does',
  );
  const frozen = [life(200, 'frozen', 'agents-1-1'), life(5_000, 'thawed', 'agents-1-1'), caching(1_000, 'a', true)];
  const woken = [...frozen, caching(4_900, 'a', false)];
  t.same(broken(woken), [], 'a frozen agent caches nothing');
  t.same(broken([...frozen, caching(5_400, 'a', false)]), ['one cacher'], 'one that wakes up has to notice soon');
});

test('the state at rest', async (t) => {
  t.same(broken([], { redis: [] }), ['mirror equals SQL'], 'an account is missing in Redis');
  t.same(broken([], { redis: [{ ...account, version: 6 }] }), ['mirror equals SQL'], 'Redis is behind');
  t.same(
    broken([], { redis: [account, { ...account, account: 'account-9' }] }),
    ['mirror equals SQL'],
    'Redis has more',
  );
  const state = (more: object) => ({ replicas: [replicas[0]!, { ...replicas[1]!, ...more }] });
  t.same(broken([], state({ mirrorLive: false })), ['mirror equals SQL'], 'the mirror of a replica is not live');
  t.same(broken([], state({ mirrorAccounts: 2 })), ['mirror equals SQL'], 'or has more accounts');
  t.same(broken([], state({ notOwner: 1 })), ['mirror equals SQL'], 'or names a wrong owner');
  t.same(broken([], state({ unreachable: ['account-0: 503'] })), ['reachable at rest'], 'an account cannot be reached');
  t.same(
    broken([], state({ agents: { 'agent-a': 'gateway-0' } })),
    ['connected means assigned'],
    'a connected agent is not listed',
  );
  t.same(
    broken([], state({ agents: { ...agents, 'agent-b': 'gateway-0' } })),
    ['agents equal everywhere'],
    'or elsewhere',
  );
  t.same(
    broken([], state({ agents: { ...agents, 'agent-c': 'gateway-0' } })),
    ['agents equal everywhere'],
    'or one is that is not connected',
  );
});
