/**
 * The agent's metrics for Prometheus. Every label has a bounded set of values: accounts and operations are never
 * labels.
 */

import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { WatchingObserver } from './watching/scope-watcher.js';

export function createAgentMetrics(version: string) {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string) => new Gauge({ name: `agent_gateway_agent_${name}`, help, registers });
  const counter = <T extends string>(name: string, help: string, labelNames: T[]) =>
    new Counter({ name: `agent_gateway_agent_${name}`, help, labelNames, registers });
  new Gauge({
    name: 'agent_gateway_agent_build_info',
    help: '1, with the version of the agent.',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1);
  const lists = counter('lists_total', 'Lists of API servers, by why: first, or because a version had expired (410).', [
    'reason',
  ]);
  const sentObjects = counter(
    'sent_objects_total',
    'Objects and changes of objects that were sent to the gateway.',
    [],
  );
  const failures = counter('watch_failures_total', 'Lists and watches that failed and are tried again.', ['what']);
  const watches = gauge('watches', 'Watches that are open.');
  const observer: WatchingObserver = {
    listed: (reason) => lists.inc({ reason }),
    watching: (change) => watches.inc(change),
    sent: (objects) => sentObjects.inc(objects),
    failed: (what) => failures.inc({ what }),
  };
  return {
    registry,
    observer,
    connected: gauge('connected', '1 while the agent is registered at a gateway.'),
    connections: counter('registrations_total', 'Registrations at a gateway.', []),
    accounts: gauge('accounts', 'Accounts that the agent serves.'),
    cachedAccounts: gauge('cached_accounts', 'Accounts of which the agent streams the objects.'),
    executing: gauge('operations_executing', 'Operations that are under way.'),
    queued: gauge('operations_queued', 'Operations that wait for a free slot.'),
    unacknowledged: gauge('results_unacknowledged', 'Results that the gateway has not acknowledged.'),
    operations: new Histogram({
      name: 'agent_gateway_agent_operation_duration_seconds',
      help: 'Time that operations took, by type and outcome (completed, failed).',
      labelNames: ['type', 'outcome'],
      buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300],
      registers,
    }),
    configurationReloads: counter('configuration_reloads_total', 'Changes of the configuration file, by outcome.', [
      'outcome',
    ]),
    collectProcess: (): void => {
      collectDefaultMetrics({ register: registry });
    },
  };
}
