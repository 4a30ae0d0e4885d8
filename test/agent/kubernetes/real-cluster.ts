/** A real API server, kubectl, and this agent's operations on it, side by side. */

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Cluster, type ClusterOptions } from '../../../src/agent/kubernetes/cluster.js';
import { createExecute } from '../../../src/agent/kubernetes/execute.js';
import { defaultRetries } from '../../../src/agent/kubernetes/retries.js';
import type { Execution } from '../../../src/agent/operation-results.js';
import { silentLogger } from '../../../src/core/logger.js';
import { OperationSchema } from '../../../src/protocol/generated/ops/operations_pb.js';
import { clusterTools } from '../../services/helm.js';
import { kubernetesPrograms } from '../../services/kubernetes-program.js';
import { startKubernetes, type Kubernetes } from '../../services/kubernetes.js';

export type Request = NonNullable<MessageInitShape<typeof OperationSchema>['request']>;

export interface Json {
  readonly [key: string]: Json;
}

/** The name that this agent has in `metadata.managedFields`. */
export const agentManager = 'agent-gateway-agent';
const timeoutMs = 30_000;

export interface RealCluster {
  readonly kubernetes: Kubernetes;
  /** An operation on account "prod". */
  run(request: Request): Promise<Execution>;
  /** Gives standard output. Rejects with what kubectl printed as errors. */
  kubectl(args: readonly string[], manifest?: object): Promise<string>;
  /** A deploy; `value` has what is beside the manifest. */
  deploy(manifest: unknown, value?: object): Promise<Execution>;
}

const [programs, tools] = await Promise.all([kubernetesPrograms(), clusterTools()]);

/** Why tests with a real cluster have to be skipped; false where they need not. */
export const missing: string | false = [programs, tools].find((tool) => typeof tool === 'string') ?? false;

export async function startRealCluster(
  t: { teardown(release: () => Promise<void>): unknown },
  options: { readonly controllers?: boolean; readonly cluster?: Partial<ClusterOptions> } = {},
): Promise<RealCluster> {
  if (typeof tools === 'string') throw new Error(tools);
  const kubernetes = await startKubernetes(programs, { controllers: options.controllers ?? false });
  t.teardown(() => kubernetes.stop());
  const cluster = new Cluster({
    name: 'prod',
    credentials: { kubeconfigFile: kubernetes.adminKubeconfig },
    namespaces: [],
    omitNamespaces: [],
    onlyNamespacedResources: false,
    serverSideApply: 'allowed',
    requestTimeoutMs: 20_000,
    ...options.cluster,
  });
  t.teardown(() => cluster.close());
  const execute = createExecute({
    clusterOf: () => cluster,
    fieldManager: agentManager,
    retries: { ...defaultRetries, backOffMs: 50 },
    logger: silentLogger,
  });
  const run = (request: Request): Promise<Execution> =>
    execute(create(OperationSchema, { id: 'x', account: 'prod', request }), {
      signal: AbortSignal.timeout(timeoutMs),
    });
  return {
    kubernetes,
    run,
    deploy: (manifest, value = {}) => run({ case: 'deploy', value: { manifest: bytes(manifest), ...value } }),
    kubectl: (args, manifest) =>
      tools.kubectl(
        ['--kubeconfig', kubernetes.adminKubeconfig, ...args],
        manifest === undefined ? {} : { stdin: JSON.stringify(manifest) },
      ),
  };
}

export function bytes(manifest: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(manifest));
}

export function objectsOf({ body }: Execution): Json[] {
  if (body?.case !== 'objects') return [];
  return body.value.manifests.map((manifest) => JSON.parse(Buffer.from(manifest).toString()) as Json);
}
