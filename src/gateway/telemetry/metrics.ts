/** All metrics of a replica, in one registry of its own, from a file for each concern. No label has unbounded values. */

import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { agentMetrics } from './agent-metrics.js';
import { apiRequestMetrics } from './api-request-metrics.js';
import { cachingMetrics } from './caching-metrics.js';
import { clouddriverMetrics } from './clouddriver-metrics.js';
import { clusterMetrics } from './cluster-metrics.js';
import { configServerMetrics } from './config-server-metrics.js';
import { instanceMetrics } from './instance-metrics.js';
import { operationMetrics } from './operation-metrics.js';
import { portMetrics } from './port-metrics.js';

export type Metrics = ReturnType<typeof createMetrics>;

/** @param instanceId becomes the value of the info metric, and of nothing else */
export function createMetrics(instanceId: string, version: string) {
  const registry = new Registry();
  const registers = [registry];
  const info = new Gauge({
    name: 'agent_gateway_info',
    help: 'Version of this instance.',
    labelNames: ['version', 'instance_id'],
    registers,
  });
  info.set({ version, instance_id: instanceId }, 1);
  return {
    registry,
    /** Event loop delay, heap, garbage collection, file descriptors; started apart, because it holds a timer. */
    collectProcess: () => {
      collectDefaultMetrics({ register: registry });
    },
    ...agentMetrics(registers),
    ...operationMetrics(registers),
    ...apiRequestMetrics(registers),
    ...cachingMetrics(registers),
    ...portMetrics(registers),
    ...clouddriverMetrics(registers),
    ...clusterMetrics(registers),
    ...configServerMetrics(registers),
    ...instanceMetrics(registers),
  };
}
