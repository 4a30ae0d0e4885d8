/** A cluster that an agent serves, and two ways to its API: straight to the API server, and through the gateway. */

import { join } from 'node:path';
import type { Test } from 'tap';
import type { KubernetesPrograms } from '../services/kubernetes-program.js';
import { startKubernetes, type Kubernetes } from '../services/kubernetes.js';
import { startNodeDouble } from '../services/node-double.js';
import { Session } from './session.js';

/** As the agent's service account; each has a namespace of its own, with names of the same length. */
export interface Sessions {
  readonly direct: Session;
  readonly through: Session;
}

export interface World extends Sessions {
  readonly kubernetes: Kubernetes;
  /** More of them, in the same namespaces. @param name of their directory */
  sessions(name: string, tools: Session['programs']): Promise<Sessions>;
}

/** @param tools programs of the sessions */
export async function startWorld(
  t: Test,
  programs: KubernetesPrograms | string,
  tools: Session['programs'],
): Promise<World> {
  if (typeof programs === 'string') throw new Error(programs);
  const kubernetes = await startKubernetes(programs);
  t.teardown(() => kubernetes.stop());
  const node = await startNodeDouble(programs, kubernetes);
  t.teardown(() => node.stop());
  const { api } = kubernetes;
  await api.post('/api/v1/namespaces/kube-system/serviceaccounts', { metadata: { name: 'agent' } });
  await api.post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'agent' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ kind: 'ServiceAccount', name: 'agent', namespace: 'kube-system' }],
  });
  const token = await kubernetes.token('kube-system', 'agent');
  const direct = {
    cluster: {
      server: kubernetes.server,
      'certificate-authority-data': Buffer.from(kubernetes.ca).toString('base64'),
    },
    user: { token },
  };
  const through = direct;
  const namespaces = { direct: 'by-straight', through: 'by-gateways' };
  for (const name of Object.values(namespaces)) await api.post('/api/v1/namespaces', { metadata: { name } });
  const directories = t.testdir();
  const sessions = async (name: string, programs: Session['programs']): Promise<Sessions> => {
    const open = async (namespace: string, access: typeof direct): Promise<Session> => {
      const directory = join(directories, name, namespace);
      const session = await Session.open({ programs, directory, namespace, ...access });
      t.teardown(() => {
        session.close();
      });
      return session;
    };
    return { direct: await open(namespaces.direct, direct), through: await open(namespaces.through, through) };
  };
  return { kubernetes, sessions, ...(await sessions('new', tools)) };
}

/** Runs the same commands in both sessions, at the same time, and compares their transcripts. */
export async function compare(
  t: Test,
  { direct, through }: Sessions,
  commands: (session: Session) => Promise<void>,
): Promise<void> {
  await Promise.all([commands(direct), commands(through)]);
  const right = direct.transcript();
  if (process.env['SHOW'] !== undefined) t.comment(right);
  t.equal(through.transcript(), right);
}
