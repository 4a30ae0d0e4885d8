/** The directories below k8s/, and with which values a chart renders the same. */

import { fileURLToPath } from 'node:url';
import type { RenderOptions, Values } from './rendering.js';

export const manifests = fileURLToPath(new URL('../../k8s/', import.meta.url));

const gateway = {
  fullnameOverride: 'agent-gateway',
  config: {
    server: { auth: { anonymousRole: 'admin' } },
    sql: { url: 'mysql://mysql:3306/gateway', user: 'gateway' },
    redis: { connection: 'redis://redis:6379' },
  },
  sql: { existingSecret: 'gateway-sql' },
};

const agent = {
  fullnameOverride: 'agent',
  config: {
    clouddriver: { grpc: 'gateway.example.com:9091' },
    kubernetes: { accounts: [{ name: 'my-cluster', serviceAccount: true }] },
  },
};
const agentOptions = { release: 'agent', namespace: 'agent-gateway-agent' };

interface Kustomization {
  readonly chart: string;
  readonly values: Values;
  readonly options: RenderOptions;
}

/** By directory below k8s/. */
export const kustomizations: Readonly<Record<string, Kustomization>> = {
  gateway: { chart: 'agent-gateway', values: gateway, options: { release: 'agent-gateway' } },
  'overlays/gateway-mtls': {
    chart: 'agent-gateway',
    values: { ...gateway, grpc: { tls: { existingSecret: 'gateway-grpc-tls', clientAuth: 'REQUIRE' } } },
    options: { release: 'agent-gateway' },
  },
  'overlays/spinnaker': {
    chart: 'agent-gateway',
    values: {
      ...gateway,
      spinnaker: { enabled: true, tokens: { existingSecret: 'gateway-tokens' } },
      rest: { tls: { existingSecret: 'gateway-rest-tls' } },
    },
    options: { release: 'agent-gateway', namespace: 'gateway' },
  },
  'overlays/beside-clouddriver': {
    chart: 'agent-gateway',
    values: {
      ...gateway,
      config: {
        server: gateway.config.server,
        kubesvc: { 'cluster-kubernetes': { clouddriverServiceNamePrefix: 'spin-clouddriver-agent-gateway' } },
        sql: { connectionPools: { default: { jdbcUrl: 'jdbc:mysql://mysql:3306/clouddriver', user: 'clouddriver' } } },
        redis: gateway.config.redis,
      },
      grpc: { service: { name: 'spin-clouddriver-grpc' } },
      rest: { service: { name: 'spin-clouddriver-agent-gateway' } },
    },
    options: { release: 'agent-gateway', namespace: 'spinnaker' },
  },
  agent: { chart: 'agent', values: agent, options: agentOptions },
  'overlays/agent-mtls': {
    chart: 'agent',
    values: { ...agent, tls: { existingSecret: 'agent-tls' }, rbac: { access: 'deploy' } },
    options: agentOptions,
  },
};
