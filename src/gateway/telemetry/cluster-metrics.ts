/** Metrics of the cluster: its members, and the mirror of ownership. */

import { Counter, Gauge, type Registry } from 'prom-client';

export function clusterMetrics(registers: Registry[]) {
  return {
    instances: new Gauge({
      name: 'agent_gateway_instances',
      help: 'Instances that discovery knows, by readiness.',
      labelNames: ['ready'],
      registers,
    }),
    instancesLost: new Gauge({
      name: 'agent_gateway_instances_lost',
      help: 'Instances that stopped renewing their leases without saying goodbye, and were neither replaced nor forgotten. Every instance has the same number: take the maximum.',
      registers,
    }),
    mirrorSize: new Gauge({
      name: 'agent_gateway_mirror_accounts',
      help: 'Accounts in the ownership mirror of this instance.',
      registers,
    }),
    mirrorLive: new Gauge({
      name: 'agent_gateway_mirror_live',
      help: '1 while the mirror follows Redis without gaps.',
      registers,
    }),
    mirrorAge: new Gauge({
      name: 'agent_gateway_mirror_age_seconds',
      help: 'Time since the mirror stopped following Redis; 0 while it follows.',
      registers,
    }),
    mirrorGaps: new Counter({
      name: 'agent_gateway_mirror_gaps_total',
      help: 'Gaps in the stream of invalidations.',
      registers,
    }),
    mirrorReloads: new Counter({
      name: 'agent_gateway_mirror_reloads_total',
      help: 'Reloads of the mirror.',
      registers,
    }),
    redisConnected: new Gauge({
      name: 'agent_gateway_redis_connected',
      help: '1 while the connection to Redis is open, or if Redis is not configured.',
      registers,
    }),
  };
}
