/** Metrics of the ports: whom they let in, and their certificates. */

import { Counter, Gauge, type Registry } from 'prom-client';

export function portMetrics(registers: Registry[]) {
  return {
    authentications: new Counter({
      name: 'agent_gateway_authentications_total',
      help: 'Authentications of clients, by port (agents, rest) and outcome (admitted, or the reason for the refusal).',
      labelNames: ['port', 'outcome'],
      registers,
    }),
    refusedConnections: new Counter({
      name: 'agent_gateway_refused_connections_total',
      help: 'Connections that were refused, by the protocol of their first bytes, or because of a limit (protocol="limit"), or closed because they stalled ("stalled").',
      labelNames: ['port', 'protocol'],
      registers,
    }),
    certificateExpiry: new Gauge({
      name: 'agent_gateway_tls_certificate_expiry_timestamp_seconds',
      help: 'Expiry of the certificate of a port, in seconds since 1970.',
      labelNames: ['port'],
      registers,
    }),
    tlsRenewals: new Counter({
      name: 'agent_gateway_tls_renewals_total',
      help: 'Changes of the TLS files of a port, by outcome: taken, or refused because they cannot be used.',
      labelNames: ['port', 'outcome'],
      registers,
    }),
  };
}
