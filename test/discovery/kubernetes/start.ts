/** Starts discovery against the tests' API server, with short times, and stops it at the test's end. */

import type { Logger } from '../../../src/core/logger.js';
import { silentLogger } from '../../../src/core/logger.js';
import { KubernetesDiscovery, type KubernetesDiscoveryOptions } from '../../../src/discovery/kubernetes.js';
import type { KubernetesApiServer } from '../../kubernetes-server/api-server.js';

type Options = Partial<Omit<KubernetesDiscoveryOptions, 'logger'>> & { readonly logger?: Logger };

export function makeDiscovery(
  t: { teardown(release: () => Promise<void>): unknown },
  api: KubernetesApiServer,
  options: Options = {},
): KubernetesDiscovery {
  const discovery = new KubernetesDiscovery({
    logger: silentLogger,
    apiServer: api.url,
    serviceAccountDirectory: api.directory,
    // Loading the client library for a kubeconfig takes seconds on a busy machine.
    startTimeoutMs: 30_000,
    requestTimeoutMs: 20_000,
    watchTimeoutSeconds: 10,
    watchMarginMs: 500,
    backoff: { initialMs: 20, maximumMs: 100, multiplier: 2, jitter: 0.2 },
    ...options,
  });
  t.teardown(() => discovery.stop());
  return discovery;
}

export async function startDiscovery(
  ...[t, api, options]: Parameters<typeof makeDiscovery>
): Promise<KubernetesDiscovery> {
  const discovery = makeDiscovery(t, api, options);
  await discovery.start(new AbortController().signal);
  return discovery;
}
