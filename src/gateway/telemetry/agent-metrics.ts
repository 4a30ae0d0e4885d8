/** Metrics of agents and the accounts that they serve. */

import { Counter, Gauge, type Registry } from 'prom-client';

export function agentMetrics(registers: Registry[]) {
  return {
    streams: new Gauge({
      name: 'agent_gateway_agent_streams',
      help: 'Open streams of agents, registered or not.',
      registers,
    }),
    agents: new Gauge({
      name: 'agent_gateway_agents_connected',
      help: 'Agents registered on this instance.',
      registers,
    }),
    accounts: new Gauge({
      name: 'agent_gateway_accounts_served',
      help: 'Accounts that this instance holds a stream for.',
      registers,
    }),
    agentsOffline: new Gauge({
      name: 'agent_gateway_agents_offline',
      help: 'Agents of the whole cluster that were connected, are not, and are not forgotten yet. Every instance has the same number: take the maximum.',
      registers,
    }),
    agentsMissing: new Gauge({
      name: 'agent_gateway_agents_missing',
      help: 'Of the agents that are offline, those that neither said goodbye nor were replaced.',
      registers,
    }),
    accountsOffline: new Gauge({
      name: 'agent_gateway_accounts_offline',
      help: 'Accounts of the whole cluster whose agents are all offline. Every instance has the same number: take the maximum.',
      registers,
    }),
    registrations: new Counter({
      name: 'agent_gateway_registrations_total',
      help: 'Registrations of agents, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    rivalProcesses: new Counter({
      name: 'agent_gateway_rival_processes_total',
      help: 'Registrations of a process that takes its agent id back from another process that is still alive.',
      registers,
    }),
    accountTurns: new Counter({
      name: 'agent_gateway_account_turns_total',
      help: 'Turns in which this instance processed a dynamic account, by aim (serve, clear) and resulting status.',
      labelNames: ['aim', 'end'],
      registers,
    }),
  };
}
