/** Metrics of this instance: readiness, lease, queues. */

import { Counter, Gauge, type Registry } from 'prom-client';

export function instanceMetrics(registers: Registry[]) {
  return {
    ready: new Gauge({ name: 'agent_gateway_ready', help: '1 while this instance accepts operations.', registers }),
    draining: new Gauge({ name: 'agent_gateway_draining', help: '1 while this instance drains.', registers }),
    leaseLosses: new Counter({
      name: 'agent_gateway_lease_losses_total',
      help: 'Times that the lease may have lapsed and all accounts were reclaimed, because the database or this instance did not respond.',
      registers,
    }),
    leaseHeld: new Gauge({
      name: 'agent_gateway_lease_held',
      help: '1 while this instance holds its lease in SQL. Without it, other instances take over its accounts.',
      registers,
    }),
    queueLength: new Gauge({
      name: 'agent_gateway_queue_length',
      help: 'Entries in queues: agents (frames that agents have not read), peers (operations and results for other instances), tunnels (requests of the Kubernetes API whose agents have not opened their streams yet), operations, outcomes and notes (records for SQL).',
      labelNames: ['queue'],
      registers,
    }),
    sqlConnections: new Gauge({
      name: 'agent_gateway_sql_connections',
      help: 'Connections of the SQL pool, by state.',
      labelNames: ['state'],
      registers,
    }),
  };
}
