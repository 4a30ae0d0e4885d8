/**
 * The agent's metrics for Prometheus. Every label has a bounded set of values: accounts and operations are never
 * labels.
 */

import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { ApiRequestsObserver } from './kubernetes-api/open-requests.js';
import type { WatchingObserver } from './watching/scope-watcher.js';

export function createAgentMetrics(version: string) {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string) => new Gauge({ name: `agent_gateway_agent_${name}`, help, registers });
  const counter = <T extends string>(name: string, help: string, labelNames: T[]) =>
    new Counter({ name: `agent_gateway_agent_${name}`, help, labelNames, registers });
  new Gauge({
    name: 'agent_gateway_agent_build_info',
    help: 'Always 1; the label has the version of the agent.',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1);
  const lists = counter(
    'lists_total',
    'List requests to API servers, by reason: the first one, or an expired version (410).',
    ['reason'],
  );
  const sentObjects = counter('sent_objects_total', 'Objects and changes of objects sent to the gateway.', []);
  const failures = counter('watch_failures_total', 'Lists and watches that failed and are retried.', ['what']);
  const watches = gauge('watches', 'Open watches.');
  const observer: WatchingObserver = {
    listed: (reason) => lists.inc({ reason }),
    watching: (change) => watches.inc(change),
    sent: (objects) => sentObjects.inc(objects),
    failed: (what) => failures.inc({ what }),
  };
  const openRequests = gauge(
    'kubernetes_api_requests_open',
    'Requests of the Kubernetes API under way, with watches and upgraded connections.',
  );
  const apiRequests = counter(
    'kubernetes_api_requests_total',
    'Requests of the Kubernetes API that came through the gateway, by outcome: answered, refused, failed, cancelled.',
    ['outcome'],
  );
  const requestsObserver: ApiRequestsObserver = {
    began: () => {
      openRequests.inc();
    },
    ended: (outcome) => {
      openRequests.dec();
      apiRequests.inc({ outcome });
    },
  };
  return {
    registry,
    observer,
    requestsObserver,
    connected: gauge('connected', '1 while the agent is registered at a gateway.'),
    connections: counter('registrations_total', 'Registrations at a gateway.', []),
    accounts: gauge('accounts', 'Accounts that the agent serves.'),
    cachedAccounts: gauge('cached_accounts', 'Accounts whose objects the agent streams to the gateway.'),
    executing: gauge('operations_executing', 'Operations in progress.'),
    queued: gauge('operations_queued', 'Operations that wait for a free slot.'),
    unacknowledged: gauge('results_unacknowledged', 'Results that the gateway has not acknowledged.'),
    operations: new Histogram({
      name: 'agent_gateway_agent_operation_duration_seconds',
      help: 'Duration of operations, by type and outcome (completed, failed).',
      labelNames: ['type', 'outcome'],
      buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300],
      registers,
    }),
    configurationReloads: counter('configuration_reloads_total', 'Reloads of the configuration file, by outcome.', [
      'outcome',
    ]),
    collectProcess: (): void => {
      collectDefaultMetrics({ register: registry });
    },
  };
}
