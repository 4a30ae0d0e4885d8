/** Metrics of the gateway as Spring Cloud Config Server of Clouddrivers. */

import { Counter, type Registry } from 'prom-client';

export function configServerMetrics(registers: Registry[]) {
  return {
    configRefreshes: new Counter({
      name: 'agent_gateway_config_refreshes_total',
      help: 'Requests to Clouddrivers to read their accounts again, by outcome: refreshed, or failed (the Clouddriver is asked again).',
      labelNames: ['outcome'],
      registers,
    }),
  };
}
