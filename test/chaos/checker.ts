/**
 * Proves the invariants of a run from its history and from the state at rest. A pure function: what it finds is all
 * that it says.
 */

import { checkApi } from './check-api.js';
import type { Rule, Violation } from './violation.js';
import type { FinalState } from './final-state.js';
import { cachingIntervals, freezes, overlapMs, type Interval } from './intervals.js';
import type { Answered, Executed, HistoryEvent, Submitted } from './history.js';

export interface CheckOptions {
  /** What a caller may be late beyond its deadline, in ms; default 1000. */
  readonly callerGraceMs?: number;
  /** Two cachers for so long are within the precision of what is recorded, in ms; default 5. */
  readonly overlapMs?: number;
  /** An agent that is woken is given so long to notice, in ms; default 250. */
  readonly wakeMs?: number;
}

/** Answers that say: it was not done, and will not be. */
const refusals: ReadonlySet<number> = new Set([400, 404, 409, 413, 429, 503]);

export function check(events: readonly HistoryEvent[], final: FinalState, options: CheckOptions = {}): Violation[] {
  return [
    ...checkOperations(events, final),
    ...checkCallers(events, options),
    ...checkCaching(events, final, options),
    ...checkRest(events, final),
    ...checkApi(events, final),
  ];
}

interface OperationHistory {
  readonly submitted: Submitted[];
  readonly answered: Answered[];
  readonly executed: Executed[];
}

function byOperation(events: readonly HistoryEvent[]): Map<string, OperationHistory> {
  const operations = new Map<string, OperationHistory>();
  for (const event of events) {
    if (event.type !== 'submitted' && event.type !== 'answered' && event.type !== 'executed') continue;
    const entry = operations.get(event.id) ?? { submitted: [], answered: [], executed: [] };
    operations.set(event.id, entry);
    (entry[event.type] as HistoryEvent[]).push(event);
  }
  return operations;
}

function checkOperations(events: readonly HistoryEvent[], final: FinalState): Violation[] {
  const violations: Violation[] = [];
  const pending = new Set(final.pending);
  const outcomes = new Map<string, (string | null)[]>();
  for (const { id, outcome } of final.ended) outcomes.set(id, [...(outcomes.get(id) ?? []), outcome]);
  const operations = byOperation(events);

  for (const [id, { submitted, answered, executed }] of operations) {
    const report = (rule: Rule, message: string, t?: number): void => {
      violations.push({ rule, message, subject: id, ...(t === undefined ? {} : { t }) });
    };
    const first = submitted[0];
    // Reading twice harms nobody, and a reading operation need not be recorded.
    if (first?.mutating === false || executed.some(({ mutating }) => !mutating)) continue;
    const accepted = answered.find(({ status }) => status >= 200 && status < 300);
    const recorded = outcomes.get(id) ?? [];
    if (pending.has(id)) report('one outcome', 'still in kubesvc_ops', first?.t);
    if (accepted !== undefined && recorded.length !== 1)
      report('one outcome', `answered ${accepted.status}, ${recorded.length} rows in kubesvc_ops_history`, accepted.t);
    if (recorded.includes(null)) report('one outcome', 'its row in kubesvc_ops_history has no outcome', first?.t);
    if (executed.length > 1) {
      const places = executed.map(({ agent, process, t }) => `${agent} in ${process} at ${t.toFixed(0)}`).join(', ');
      report('executed once', `executed ${executed.length} times: ${places}`, executed[1]?.t);
    }
    const completed = answered.find(({ resultStatus }) => resultStatus !== undefined && resultStatus < 300);
    if (completed !== undefined && executed.length === 0)
      report('completed means executed', 'answered as completed, executed by nobody', completed.t);
    if (completed !== undefined && recorded.length === 1 && recorded[0] !== 'completed')
      report('answer equals record', `answered as completed, recorded as ${String(recorded[0])}`, completed.t);
    const refused = answered.length === submitted.length && answered.every(({ status }) => refusals.has(status));
    if (refused && executed.length > 0) {
      const told = answered.map(({ status, problem }) => `${status} ${problem ?? ''}`.trim()).join(', ');
      report('refused means not executed', `refused (${told}), yet executed`, executed[0]?.t);
    }
  }
  for (const id of pending) {
    if (!operations.has(id))
      violations.push({ rule: 'one outcome', subject: id, message: 'in kubesvc_ops, given by nobody' });
  }
  return violations;
}

function checkCallers(events: readonly HistoryEvent[], { callerGraceMs = 1_000 }: CheckOptions): Violation[] {
  const violations: Violation[] = [];
  const frozen = freezes(events);
  const lags = events.filter((event) => event.type === 'lag');
  const asked = new Map<string, Submitted>();
  for (const event of events) {
    if (event.type === 'submitted') asked.set(`${event.id} ${event.attempt}`, event);
    if (event.type !== 'answered') continue;
    const submitted = asked.get(`${event.id} ${event.attempt}`);
    if (submitted === undefined) continue;
    const waited: Interval = { from: submitted.t, to: event.t };
    // A frozen replica cannot answer, and a late runner sees answers late.
    const frozenMs = (frozen.get(event.replica) ?? []).reduce((sum, freeze) => sum + overlapMs(waited, freeze), 0);
    const lagMs = lags.reduce((sum, { t, ms }) => sum + overlapMs(waited, { from: t - ms, to: t }), 0);
    const lateMs = event.t - submitted.t - submitted.timeoutMs - frozenMs - lagMs;
    if (lateMs > callerGraceMs) {
      violations.push({
        rule: 'caller not kept waiting',
        subject: event.id,
        t: event.t,
        message: `attempt ${event.attempt} at ${event.replica} took ${(event.t - submitted.t).toFixed(0)} ms of ${submitted.timeoutMs} and was answered ${event.status} ${event.problem ?? ''}`,
      });
    }
  }
  return violations;
}

function checkCaching(
  events: readonly HistoryEvent[],
  final: FinalState,
  { overlapMs: precisionMs = 5, wakeMs = 250 }: CheckOptions,
): Violation[] {
  const violations: Violation[] = [];
  const intervals = cachingIntervals(events, wakeMs);
  for (const [account, list] of intervals) {
    for (const [index, first] of list.entries()) {
      for (const second of list.slice(index + 1)) {
        if (first.agent === second.agent && first.process === second.process) continue;
        const together = overlapMs(first, second);
        if (together <= precisionMs) continue;
        violations.push({
          rule: 'one cacher',
          subject: account,
          t: Math.max(first.from, second.from),
          message: `${first.agent} (${first.process}) and ${second.agent} (${second.process}) cached it together for ${together.toFixed(0)} ms`,
        });
      }
    }
  }
  for (const { account, assignments } of final.sql) {
    if (assignments.length === 0) continue;
    const told = assignments.filter(({ caching }) => caching).map(({ agentId }) => agentId);
    const doing = (intervals.get(account) ?? [])
      .filter(({ to }) => to === Number.POSITIVE_INFINITY)
      .map(({ agent }) => agent);
    if (told.length !== 1 || doing.length !== 1 || told[0] !== doing[0]) {
      violations.push({
        rule: 'somebody caches',
        subject: account,
        message: `at rest SQL says ${told.join(', ') || 'nobody'}, and ${doing.join(', ') || 'nobody'} caches`,
      });
    }
  }
  return violations;
}

function checkRest(events: readonly HistoryEvent[], final: FinalState): Violation[] {
  const violations: Violation[] = [];
  const mirror = new Map(final.redis.map((state) => [state.account, JSON.stringify(state)]));
  for (const state of final.sql) {
    const mirrored = mirror.get(state.account);
    mirror.delete(state.account);
    if (mirrored === JSON.stringify(state)) continue;
    violations.push({
      rule: 'mirror equals SQL',
      subject: state.account,
      message: `SQL ${JSON.stringify(state)}, Redis ${mirrored ?? 'nothing'}`,
    });
  }
  for (const account of mirror.keys())
    violations.push({ rule: 'mirror equals SQL', subject: account, message: 'in Redis and not in SQL' });
  for (const replica of final.replicas) {
    if (!replica.mirrorLive || replica.mirrorAccounts !== final.sql.length) {
      violations.push({
        rule: 'mirror equals SQL',
        subject: replica.id,
        message: `its mirror is ${replica.mirrorLive ? 'live' : 'not live'} with ${replica.mirrorAccounts} of ${final.sql.length} accounts`,
      });
    }
    if ((replica.notOwner ?? 0) > 0) {
      violations.push({
        rule: 'mirror equals SQL',
        subject: replica.id,
        message: `at rest ${replica.notOwner ?? 0} operations went to an instance that is not the owner`,
      });
    }
  }

  for (const { id, unreachable = [] } of final.replicas) {
    for (const reason of unreachable) violations.push({ rule: 'reachable at rest', subject: id, message: reason });
  }

  const connected = connections(events);
  for (const replica of final.replicas) {
    for (const agent of new Set([...connected.keys(), ...Object.keys(replica.agents)])) {
      const [is, listed] = [connected.get(agent), replica.agents[agent]];
      if (is === listed) continue;
      violations.push({
        rule: listed === undefined ? 'connected means assigned' : 'agents equal everywhere',
        subject: agent,
        message: `it is connected to ${is ?? 'nobody'}, ${replica.id} lists it at ${listed ?? 'nobody'}`,
      });
    }
  }
  return violations;
}

/** Where each agent is registered at the end. */
function connections(events: readonly HistoryEvent[]): Map<string, string> {
  const connected = new Map<string, { process: string; replica: string }>();
  for (const event of events) {
    if (event.type === 'connected') {
      if (event.replica !== null) connected.set(event.agent, { process: event.process, replica: event.replica });
      else if (connected.get(event.agent)?.process === event.process) connected.delete(event.agent);
    } else if (event.type === 'ended') {
      for (const [agent, { process }] of connected) if (process === event.process) connected.delete(agent);
    }
  }
  return new Map([...connected].map(([agent, { replica }]) => [agent, replica]));
}
