/** A real control plane with the namespaces and the definitions that charts and manifests need, and kubectl for it. */

import type { Test } from 'tap';
import { clusterTools, type ClusterTools } from '../services/helm.js';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { startKubernetes, type Kubernetes } from '../services/kubernetes.js';
import { customResourceDefinitions } from './custom-resources.js';

export interface TargetCluster extends Pick<ClusterTools, 'helm'> {
  readonly kubernetes: Kubernetes;
  /** As its administrator, with these objects on standard input. */
  readonly kubectl: (args: readonly string[], objects?: readonly object[]) => Promise<string>;
}

/** With the Pod Security Standard "restricted", which pods with a privilege too many are refused by. */
const namespaces = ['spinnaker', 'other', 'monitoring', 'gateway', 'shop', 'agent-gateway-agent'].map((name) => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
}));

/** @returns why there can be none, and a function that starts one */
export async function targetCluster(): Promise<{
  readonly missing: string | false;
  readonly start: (t: Test) => Promise<TargetCluster>;
}> {
  const [programs, tools] = await Promise.all([kubernetesPrograms(), clusterTools()]);
  const missing = [programs, tools].find((one) => typeof one === 'string');
  const start = async (t: Test): Promise<TargetCluster> => {
    if (typeof tools === 'string') throw new Error(tools);
    const kubernetes = await startKubernetes(programs);
    t.teardown(() => kubernetes.stop());
    const kubectl: TargetCluster['kubectl'] = (args, items) =>
      tools.kubectl(['--kubeconfig', kubernetes.adminKubeconfig, ...args], {
        ...(items === undefined ? {} : { stdin: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) }),
      });
    await kubectl(['apply', '--filename=-'], [...customResourceDefinitions, ...namespaces]);
    await kubectl(['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all']);
    return { helm: tools.helm, kubernetes, kubectl };
  };
  return { missing: missing ?? false, start };
}
