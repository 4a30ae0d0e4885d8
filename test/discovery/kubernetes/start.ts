/** Starts discovery against the tests' API server, with short times, and stops it at the test's end. */

import { spawnSync } from 'node:child_process';
import type { Logger } from '../../../src/core/logger.js';
import { silentLogger } from '../../../src/core/logger.js';
import { KubernetesDiscovery, type KubernetesDiscoveryOptions } from '../../../src/discovery/kubernetes.js';
import type { KubernetesApiServer } from '../../kubernetes-server/api-server.js';

/** For an API server with TLS: clients send nothing secret of a kubeconfig in cleartext. */
export function selfSigned(): { readonly key: string; readonly cert: string } {
  const command = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost';
  const made = spawnSync('openssl', [...command.split(' '), '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', '-'], {
    encoding: 'utf8',
  });
  const [key = '', cert = ''] = made.stdout.split(/(?=-----BEGIN CERTIFICATE-----)/);
  return { key, cert };
}

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
