/** Phase 5: tells load balancers, other replicas and agents that this one takes work. */

import type { Domain } from './assemble.js';
import type { Dependencies } from './connect.js';
import { drainGateway, shuttingDown } from './drain.js';
import type { OpenPorts } from './open-ports.js';
import type { StartContext } from './start-context.js';

/** @returns what ends it: takes no more work and finishes what there is, as drainGateway() */
export function takeWork(
  { config, logger }: StartContext,
  { discovery, metrics }: Dependencies,
  { registry, registrations, acceptance, frames, readiness }: Domain,
  { agents, agentsPort, restPort, kubernetesApi }: OpenPorts,
): (deadline: AbortSignal) => Promise<void> {
  readiness.serving();
  discovery.setReady(true);
  agents.setServing(true);
  const { drain, cluster } = config.kubesvc;
  const refusal = shuttingDown(config.instance.id);
  const parts = {
    registry,
    registrations,
    acceptance,
    frames,
    readiness,
    discovery,
    agents,
    agentsPort,
    restPort,
    kubernetesApi,
    metrics,
    logger,
  };
  return (deadline) => drainGateway({ ...parts, ...drain, agentsMove: cluster !== 'local', refusal }, deadline);
}
