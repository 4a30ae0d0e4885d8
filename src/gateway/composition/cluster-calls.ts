/** Makes what is asked of the whole cluster through any instance (rest/cluster.ts, console/). */

import type { Logger } from '../../core/logger.js';
import type { Discovery } from '../../discovery/discovery.js';
import type { AssignmentStore } from '../../store/assignments/assignments.js';
import type { ClouddriverAccountStore } from '../../store/accounts/clouddriver-accounts.js';
import type { InstanceStore } from '../../store/instances/instances.js';
import type { PresenceStore } from '../../store/presence/presence.js';
import type { OperationStore } from '../../store/operations/operations.js';
import { CachingAssigner } from '../agents/caching-assignment/assigner.js';
import type { CachingSwitches } from '../agents/caching-assignment/switches.js';
import type { OwnershipService } from '../agents/ownership.js';
import type { Registry } from '../agents/registry.js';
import type { Config } from '../config/config.js';
import { ClusterReader } from '../attention/cluster-reader.js';
import { ClusterWatch } from '../console/cluster-watch.js';
import { consoleRoutes } from '../console/routes.js';
import { EveryInstance } from '../peers/every-instance.js';
import type { Forwarder } from '../peers/forwarder.js';
import { Resend } from '../operations/resend.js';
import type { Acceptance } from '../operations/acceptance.js';
import type { Routing } from '../operations/routing.js';
import type { DynamicAccountRoutesOptions } from '../rest/accounts.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Readiness } from '../telemetry/readiness.js';

export interface ClusterCallsOptions {
  readonly config: Config;
  readonly version: string;
  readonly discovery: Discovery;
  readonly forwarder: Forwarder;
  readonly assignments: AssignmentStore;
  readonly ownership: OwnershipService;
  readonly registry: Registry;
  readonly switches: CachingSwitches;
  readonly operations: OperationStore;
  readonly acceptance: Acceptance;
  readonly routing: Routing;
  /** Aborted when the gateway stops. */
  readonly stopping: AbortSignal;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly instances: InstanceStore;
  readonly clouddriverAccounts: ClouddriverAccountStore;
  readonly presence: PresenceStore;
  readonly readiness: Readiness;
  readonly dynamicAccounts: DynamicAccountRoutesOptions;
  readonly now: () => number;
}

export function createClusterCalls({
  config,
  dynamicAccounts: { accounts, requests, store },
  ...parts
}: ClusterCallsOptions) {
  const shared = { ...parts, instanceId: config.instance.id };
  const { forwardTimeoutMs } = config.kubesvc.operations;
  const { leaseMs } = config.kubesvc.instances;
  const everyInstance = new EveryInstance(shared);
  const reader = new ClusterReader({ ...shared, everyInstance, leaseMs });
  return {
    everyInstance,
    reader,
    resend: new Resend(shared),
    cachingAssignment: new CachingAssigner({ ...shared, timeoutMs: forwardTimeoutMs }),
    console: consoleRoutes({
      instanceId: shared.instanceId,
      version: parts.version,
      console: new ClusterWatch({
        ...shared,
        reader,
        accounts,
        dynamicAccounts: requests && store,
        clouddriverAccounts: config.spinnaker.clouddriver.url === undefined ? undefined : shared.clouddriverAccounts,
      }),
    }),
    forwardTimeoutMs,
  };
}
