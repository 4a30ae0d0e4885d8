/** Says what needs attention, from what cluster-reader.ts has read and discovery knows. */

import type { Discovery, Instance } from '../../discovery/discovery.js';
import type { AccountFailures } from '../../store/operations/failures.js';
import type { OfflineAgent } from '../../store/presence/presence-record.js';
import type { AccountLeft } from '../../store/presence/presence.js';
import type { ReadinessReport } from '../telemetry/readiness.js';
import type {
  AccountsAttention,
  AgentsAttention,
  Attention,
  AttentionProblem,
  FailingAccount,
  FailuresAttention,
  InstanceHealth,
  InstancesAttention,
  MissingAgent,
  OfflineAccount,
} from './answer.js';
import type { ClusterReader, InstancesRead } from './cluster-reader.js';

export const lostReason =
  'it stopped renewing its lease without saying goodbye: it was killed, hangs, or cannot reach the database';

/** Items of each list: what needs attention first, not everything. */
const shown = 20;
const someAccounts = 5;

export function attention(
  reader: ClusterReader,
  discovery: Pick<Discovery, 'instances'>,
  clouddriverId: string,
): Attention {
  const instances = instancesAttention(reader, discovery.instances());
  const failures = failuresAttention(reader);
  const accounts = accountsAttention(reader);
  const agents = agentsAttention(reader);
  const problems = problemsOf(reader);
  const failing = failures.items.some(({ last15Minutes }) => last15Minutes > 0);
  const missing = accounts.offline + accounts.uncached + agents.missing;
  const ok = instances.ready === instances.expected && !failing && missing === 0 && problems.length === 0;
  return { clouddriverId, ok, instances, failures, accounts, agents, problems };
}

/** Whether somebody should find out why it is gone: it did not say goodbye, and no other one has come for it. */
export function isMissing({ reason, replacedBy }: OfflineAgent): boolean {
  return reason !== 'said goodbye' && replacedBy === undefined;
}

export function timeText(time: number): string {
  return new Date(time).toISOString();
}

/** The order of what needs attention: the worst first. */
const order = { lost: 0, 'no answer': 1, 'not ready': 2, ready: 3 };

function instancesAttention({ instances, readiness }: ClusterReader, members: readonly Instance[]): InstancesAttention {
  const known: InstancesRead = instances.value ?? { live: [], lost: [] };
  const versions = new Map(known.live.map(({ id, version }) => [id, version]));
  const lost = new Map(known.lost.map((instance) => [instance.id, instance]));
  const answers = new Map((readiness.value ?? []).map((answer) => [answer.instanceId, answer]));
  const items = members.map((member): InstanceHealth => {
    const { id, baseUrl } = member;
    const version = versions.get(id);
    const common = { clouddriverId: id, baseUrl, ...(version === undefined ? {} : { version }) };
    const answer = answers.get(id);
    // One that answers is not lost, although it may not have written a heartbeat: a full database prevents it.
    if (answer !== undefined && 'answer' in answer) return { ...common, ...healthOf(answer.answer) };
    const gone = lost.get(id);
    if (gone !== undefined) return lostHealth(gone);
    if (answer !== undefined) return { ...common, state: 'no answer', reason: answer.error.message };
    return { ...common, state: member.ready ? 'ready' : 'not ready' };
  });
  const named = new Set(members.map(({ id }) => id));
  for (const instance of lost.values()) if (!named.has(instance.id)) items.push(lostHealth(instance));
  for (const { id, baseUrl, version } of known.live) {
    const reason = 'it renews its lease, but discovery does not name it';
    if (!named.has(id)) items.push({ clouddriverId: id, baseUrl, version, state: 'no answer', reason });
  }
  items.sort((a, b) => order[a.state] - order[b.state] || (a.clouddriverId < b.clouddriverId ? -1 : 1));
  return {
    ready: items.filter(({ state }) => state === 'ready').length,
    expected: items.filter(({ replacedBy }) => replacedBy === undefined).length,
    items,
  };
}

function healthOf({
  ready,
  status,
  since,
  checks,
}: ReadinessReport): Pick<InstanceHealth, 'state' | 'since' | 'reason'> {
  const lacks = Object.entries(checks)
    .filter(([, { ok }]) => !ok)
    .map(([name, { detail }]) => `${name}: ${detail ?? 'not available'}`);
  // A replica without Redis is ready, but slower.
  const reason = [...(ready || status === 'degraded' ? [] : [status]), ...lacks].join('; ');
  return {
    state: ready ? 'ready' : 'not ready',
    ...(ready || since === 0 ? {} : { since: timeText(since) }),
    ...(reason === '' ? {} : { reason }),
  };
}

function lostHealth(instance: InstancesRead['lost'][number]): InstanceHealth {
  const { id, baseUrl, version, lastHeartbeatTime, replacedBy } = instance;
  return {
    clouddriverId: id,
    state: 'lost',
    since: timeText(lastHeartbeatTime),
    reason: lostReason,
    baseUrl,
    version,
    ...(replacedBy === undefined ? {} : { replacedBy }),
  };
}

function failuresAttention({ failures: { value } }: ClusterReader): FailuresAttention {
  if (value === undefined) return { accounts: 0, more: false, items: [] };
  return { accounts: value.total, more: value.more, items: value.accounts.map(failingAccount) };
}

function failingAccount({ last, since, ...counts }: AccountFailures): FailingAccount {
  const { operationId, time, outcome, message } = last;
  return {
    ...counts,
    since: timeText(since),
    lastOperationId: operationId,
    lastTime: timeText(time),
    lastOutcome: outcome,
    ...(message === undefined ? {} : { lastMessage: message }),
  };
}

function accountsAttention({ agents, offline }: ClusterReader): AccountsAttention {
  const served = new Set<string>();
  const cached = new Set<string>();
  for (const agent of agents.value?.agents ?? []) {
    for (const account of agent.accounts) served.add(account);
    for (const account of agent.cachedAccounts) cached.add(account);
  }
  const uncached = [...served].filter((name) => !cached.has(name)).sort();
  const left = offline.value?.accounts ?? [];
  return {
    served: served.size,
    offline: left.length,
    items: left
      .toSorted((a, b) => b.lastAgent.goneTime - a.lastAgent.goneTime)
      .slice(0, shown)
      .map(offlineAccount),
    uncached: uncached.length,
    uncachedNames: uncached.slice(0, shown),
  };
}

export function offlineAccount({ name, lastAgent }: AccountLeft): OfflineAccount {
  const { agentId, instanceId, goneTime, reason, message } = lastAgent;
  return {
    name,
    offlineSince: timeText(goneTime),
    lastAgentId: agentId,
    lastClouddriverId: instanceId,
    reason,
    ...(message === undefined ? {} : { message }),
  };
}

function agentsAttention({ agents, offline }: ClusterReader): AgentsAttention {
  const gone = offline.value?.agents ?? [];
  const missing = gone.filter(isMissing);
  return {
    connected: new Set(agents.value?.agents.map(({ agentId }) => agentId)).size,
    offline: gone.length,
    missing: missing.length,
    items: missing
      .toSorted((a, b) => b.goneTime - a.goneTime)
      .slice(0, shown)
      .map(missingAgent),
  };
}

function missingAgent(agent: OfflineAgent): MissingAgent {
  const { agentId, zoneId, instanceId, accounts, goneTime, reason, message } = agent;
  return {
    agentId,
    zoneId,
    offlineSince: timeText(goneTime),
    lastClouddriverId: instanceId,
    reason,
    ...(message === undefined ? {} : { message }),
    accounts: accounts.length,
    someAccounts: accounts.slice(0, someAccounts),
  };
}

function problemsOf({ parts }: ClusterReader): AttentionProblem[] {
  return parts.flatMap(({ name, error, readTime }) =>
    error === undefined
      ? []
      : [{ part: name, error, ...(readTime === undefined ? {} : { lastRead: timeText(readTime) }) }],
  );
}
