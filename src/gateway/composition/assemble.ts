/**
 * Phase 2: makes the domain of its parts, and lets it follow ownership and discovery. Nothing is written yet, and no agent
 * or caller is let in.
 */

import { AgentTunnels } from '../kubernetes-api/agent-tunnels.js';
import type { PublishedAccounts } from '../spinnaker/published-accounts.js';
import { dependencyChecks, Readiness } from '../telemetry/readiness.js';
import { publishedAccounts } from './published-accounts.js';
import { spinnakerKubeconfigs } from './account-tokens.js';
import { assembleAgents, type AgentParts } from './assemble-agents.js';
import { assembleOperations, type OperationParts } from './assemble-operations.js';
import { createConfigServer, type ConfigServer } from './config-server.js';
import type { Dependencies } from './connect.js';
import { shuttingDown } from './drain.js';
import { createDynamicAccounts, type DynamicAccountParts } from './dynamic-accounts.js';
import type { StartContext } from './start-context.js';

export interface Domain extends AgentParts, OperationParts {
  readonly dynamicAccounts: DynamicAccountParts;
  readonly readiness: Readiness;
  readonly agentTunnels: AgentTunnels;
  /** Absent: there are no tokens of accounts (spinnaker.tokens.secretFile). */
  readonly publishedAccounts: PublishedAccounts | undefined;
  /** Absent: switched off. */
  readonly configServer: ConfigServer | undefined;
}

export function assemble(context: StartContext, dependencies: Dependencies): Domain {
  const { config, environment, logger, lifetime, now } = context;
  const { database, stores, metrics, mirror, discovery, accountTokens, tlsToPeers } = dependencies;
  const agents = assembleAgents(context, dependencies);
  const operations = assembleOperations(context, dependencies, agents);
  const { ownership, registry, switches, frames, lease } = agents;
  registry.start();
  lifetime.push('registry', () => registry.stop(shuttingDown(config.instance.id)));
  const agentTunnels = new AgentTunnels({
    frames,
    limits: { maxRequestsPerAgent: config.kubesvc.kubernetesApi.maxRequestsPerAgent },
  });
  lifetime.push('agent tunnels', () => {
    agentTunnels.stop(shuttingDown(config.instance.id));
  });
  lifetime.push('caching switches', switches.start());
  const dynamicAccounts = createDynamicAccounts({
    config,
    environment,
    database,
    locks: stores.locks,
    registry,
    frames,
    ownership,
    logger,
    metrics,
  });
  const readiness = new Readiness(
    dependencyChecks({
      lease,
      database,
      mirror: () =>
        mirror === undefined ? undefined : { live: mirror.state.name === 'live', reason: mirror.state.reason },
      discovery: () => discovery.state(),
    }),
    now,
  );
  const kubeconfigs = spinnakerKubeconfigs(config, accountTokens, tlsToPeers);
  const published = publishedAccounts(context, kubeconfigs, dynamicAccounts);
  const configServer = published && createConfigServer({ config, published, locks: stores.locks, metrics, logger });
  return {
    ...agents,
    ...operations,
    dynamicAccounts,
    readiness,
    agentTunnels,
    publishedAccounts: published,
    configServer,
  };
}
