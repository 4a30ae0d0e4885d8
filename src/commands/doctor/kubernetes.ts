/** May we find the other instances in Kubernetes, and which ones do we find? */

import { GatewayError } from '../../core/errors.js';
import { silentLogger } from '../../core/logger.js';
import { KubernetesDiscovery, type KubernetesDiscoveryOptions } from '../../discovery/kubernetes.js';
import type { Config } from '../../gateway/config/config.js';
import { examine, failed, ok, warning, type Finding, type CheckOutcome } from './finding.js';

/**
 * Does what the gateway does at its start: asks for the permissions, lists, and watches.
 * @param access the environment; where the API server and its credentials are, other than in a pod, for tests
 */
export async function* examineKubernetes(
  config: Config,
  signal: AbortSignal,
  access: Pick<KubernetesDiscoveryOptions, 'apiServer' | 'serviceAccountDirectory' | 'environment'> = {},
): AsyncGenerator<Finding> {
  if (config.kubesvc.cluster !== 'kubernetes') return;
  const settings = config.kubesvc['cluster-kubernetes'];
  const remedy = 'Run it in a pod, or name a kubeconfig in kubesvc.cluster-kubernetes.kubeconfigFile.';
  yield await examine('kubernetes', remedy, signal, async (limit) => {
    const scheme = config.server.ssl.enabled ? 'https' : 'http';
    const discovery = new KubernetesDiscovery({
      ...settings,
      ...access,
      scheme,
      failFast: true,
      logger: silentLogger,
      startTimeoutMs: 8_000,
    });
    try {
      await discovery.start(limit);
      return membersOutcome(
        discovery.instances().map(({ id }) => id),
        config,
      );
    } catch (error) {
      if (!(error instanceof GatewayError && error.code === 'permission-denied')) throw error;
      // The Role to apply begins where YAML does.
      const [found = '', ...role] = error.message.split('\n---\n');
      return failed(found.split('. ', 1)[0] ?? found, `Apply this:\n---\n${role.join('\n---\n').trimEnd()}`);
    } finally {
      await discovery.stop();
    }
  });
}

export function membersOutcome(ids: readonly string[], { instance, kubesvc }: Config): CheckOutcome {
  const { clouddriverServiceNamePrefix: prefix, httpPortName: port } = kubesvc['cluster-kubernetes'];
  const found = `permitted; ${String(ids.length)} instance${ids.length === 1 ? '' : 's'} found`;
  if (ids.length === 0) {
    const remedy = `Create a Service whose name starts with ${prefix} and that has a port named ${port}, unless no instance runs yet.`;
    return warning(found, remedy);
  }
  const named = `${found}: ${ids.slice(0, 10).join(', ')}${ids.length > 10 ? ', ...' : ''}`;
  if (ids.includes(instance.id)) return ok(named);
  return warning(
    `${named}; ${instance.id} (this one) is not among them`,
    'This is normal before it runs, and outside the cluster; otherwise set instance.id to the name of the pod.',
  );
}
