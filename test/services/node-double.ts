/**
 * A node for a control plane of kubernetes.ts, without a container engine: pods are bound to it, their containers are
 * processes of this machine, and logs, exec, attach, cp and port-forward go to them through the kubelet's own server
 * (test/kubernetes/node, docs/decisions/0022-kubernetes-in-tests.md). Images are not looked at, pods share this machine's ports and files.
 */

import { connect } from 'node:tls';
import { join } from 'node:path';
import { once } from 'node:events';
import type { Kubernetes } from './kubernetes.js';
import type { KubernetesPrograms } from './kubernetes-program.js';
import { Service } from './service.js';

/** Its Node object is `node-double`. The API server's node proxy refuses addresses of loopback; nothing else does. */
export async function startNodeDouble(programs: KubernetesPrograms, kubernetes: Kubernetes): Promise<Service> {
  const path = (name: string): string => join(kubernetes.directory, name);
  const service = await Service.start(
    {
      name: 'node-double',
      command: (directory, port) => [
        ...[programs['node-double'], kubernetes.adminKubeconfig, String(port)],
        ...[path('server.crt'), path('server.key'), kubernetes.caFile, directory],
      ],
      stopSignal: 'SIGKILL',
      probe: async (port) => {
        const socket = connect({ host: '127.0.0.1', port, ca: kubernetes.ca });
        try {
          await once(socket, 'secureConnect');
        } finally {
          socket.destroy();
        }
      },
      url: (port) => `https://127.0.0.1:${String(port)}`,
    },
    {},
  );
  // Made before it listens.
  await kubernetes.api.get('/api/v1/nodes/node-double');
  return service;
}
