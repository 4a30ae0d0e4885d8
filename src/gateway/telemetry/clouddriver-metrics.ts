/** Metrics of the accounts that this cluster of gateways keeps in Clouddriver. */

import { Counter, Gauge, type Registry } from 'prom-client';

export function clouddriverMetrics(registers: Registry[]) {
  return {
    clouddriver: {
      accounts: new Gauge({
        name: 'agent_gateway_clouddriver_accounts',
        help: 'Accounts for Clouddriver, by state (registered, waiting, refused, conflict, invalid, leaving); only on the instance that keeps them up to date.',
        labelNames: ['state'],
        registers,
      }),
      comparisons: new Counter({
        name: 'agent_gateway_clouddriver_comparisons_total',
        help: "Comparisons of Clouddriver's account store with the accounts that agents serve, by outcome (done, failed).",
        labelNames: ['outcome'],
        registers,
      }),
      writes: new Counter({
        name: 'agent_gateway_clouddriver_writes_total',
        help: "Writes to Clouddriver's account store (create, save, delete), by outcome (done, refused).",
        labelNames: ['write', 'outcome'],
        registers,
      }),
    },
  };
}
