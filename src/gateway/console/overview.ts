/** The numbers of the whole cluster on one page, from the data that cluster-watch.ts has read. */

import type { OperationRecord } from '../../store/operations/operation-record.js';
import { attention, timeText } from '../attention/attention.js';
import type { DynamicSummary, Overview, Replica, SectionName } from './answers.js';
import { maxPending, type ClusterWatch } from './cluster-watch.js';

export interface Self {
  readonly instanceId: string;
  readonly version: string;
}

export function overview(watch: ClusterWatch, { instanceId, version }: Self): Overview {
  const current = attention(watch.reader, watch.discovery, instanceId);
  const pending = watch.operations.value?.pending ?? [];
  const { status, error } = watch.discovery.state();
  const versions: Record<SectionName, number> = {
    replicas: 0,
    agents: 0,
    offline: 0,
    operations: 0,
    outcomes: 0,
    dynamic: 0,
  };
  for (const [name, section] of watch.sections()) versions[name] = section.version;
  return {
    instanceId,
    version,
    replicas: replicas(watch, pending),
    discovery: { known: status === 'known', ...(error === undefined ? {} : { error }) },
    agents: {
      count: current.agents.connected,
      accounts: current.accounts.served,
      uncachedAccounts: current.accounts.uncached,
    },
    pending: { count: pending.length, more: pending.length === maxPending },
    dynamic: dynamicSummary(watch),
    ...(watch.outcomes.value === undefined ? {} : { chart: watch.outcomes.value }),
    attention: current,
    versions,
    unread: watch.unread(),
    problems: watch
      .sections()
      .flatMap(([section, { error: problem, readTime }]) =>
        problem === undefined
          ? []
          : [{ section, error: problem, ...(readTime === undefined ? {} : { lastRead: readTime }) }],
      ),
    truncated: watch.agents.value?.truncated === true || watch.dynamic?.value?.truncated === true,
  };
}

function replicas({ discovery, replicas: live, agents }: ClusterWatch, pending: readonly OperationRecord[]): Replica[] {
  const versions = new Map(live.value?.live.map((record) => [record.id, record.version]));
  const lost = new Map(live.value?.lost.map((record) => [record.id, record]));
  const own = agents.value?.agents ?? [];
  const members = discovery.instances();
  const named = new Set(members.map(({ id }) => id));
  const gone = [...lost.values()]
    .filter(({ id }) => !named.has(id))
    .map(({ id, baseUrl }) => ({ id, baseUrl, ready: false }));
  return [...members, ...gone].map(({ id, baseUrl, ready }) => {
    const lostSince = lost.get(id)?.lastHeartbeatTime;
    const version = versions.get(id);
    const its = own.filter(({ instanceId }) => instanceId === id);
    return {
      id,
      baseUrl,
      ready: ready && lostSince === undefined,
      agents: its.length,
      accounts: new Set(its.flatMap(({ accounts }) => accounts)).size,
      pending: pending.filter(({ receivedBy }) => receivedBy?.instanceId === id).length,
      ...(version === undefined ? {} : { version }),
      ...(lostSince === undefined ? {} : { lostSince: timeText(lostSince) }),
    };
  });
}

function dynamicSummary({ dynamic }: ClusterWatch): DynamicSummary {
  if (dynamic === undefined) return { enabled: false };
  const byStatus: Record<string, number> = {};
  for (const { status } of dynamic.value?.accounts ?? []) byStatus[status] = (byStatus[status] ?? 0) + 1;
  return { enabled: true, byStatus };
}
