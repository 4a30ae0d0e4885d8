/** A cluster that an agent serves, and two ways to its API: straight to the API server, and through the gateway. */

import { join } from 'node:path';
import type { Test } from 'tap';
import { accountPath } from '../../src/gateway/kubernetes-api/path.js';
import { AgentProcess } from '../cluster/agent-process.js';
import { startCluster, type Cluster } from '../cluster/cluster.js';
import type { Replica } from '../cluster/replica.js';
import type { KubernetesApi } from '../services/kubernetes-api.js';
import type { KubernetesPrograms } from '../services/kubernetes-program.js';
import { startKubernetes, type Kubernetes } from '../services/kubernetes.js';
import { startNodeDouble } from '../services/node-double.js';
import { waitFor } from '../wait.js';
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

/** As clusters at AWS are called: "/" in the name of an account is hard for clients. */
export const account = 'arn:aws:eks:eu-west-1:123456789012:cluster/prod';

export interface Gateway {
  readonly cluster: Cluster;
  /** A replica that does not own the account. */
  readonly stranger: Replica;
}

/** Lets the service account `agent` of `kube-system` do everything. */
export async function grantAgent(api: KubernetesApi): Promise<void> {
  await api.post('/api/v1/namespaces/kube-system/serviceaccounts', { metadata: { name: 'agent' } });
  await api.post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'agent' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ kind: 'ServiceAccount', name: 'agent', namespace: 'kube-system' }],
  });
}

/** Three replicas, and an agent that serves the account. */
export async function startGateway(t: Test, kubeConfigFile: string): Promise<Gateway> {
  const cluster = await startCluster(t);
  const { replicas } = cluster;
  const agent = await AgentProcess.start(t, {
    agentId: 'agent',
    addresses: replicas.map(({ agentsAddress }) => agentsAddress),
    accounts: [{ name: account, kubeConfigFile, apiAccess: 'full' }],
  });
  const owner = await waitFor(() => ownerOf(replicas), {
    intervalMs: 50,
    description: `the agent to register: ${agent.errors}`,
  });
  return { cluster, stranger: replicas.find(({ id }) => id !== owner) as Replica };
}

/** The replica that has the agent's connection. */
export async function ownerOf(replicas: readonly Replica[]): Promise<string | undefined> {
  const agents = (await replicas[0]?.get('/armory/agents')) as { clouddriverId: string }[];
  return agents[0]?.clouddriverId;
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
  await grantAgent(api);
  const token = await kubernetes.token('kube-system', 'agent');
  const direct = {
    cluster: {
      server: kubernetes.server,
      'certificate-authority-data': Buffer.from(kubernetes.ca).toString('base64'),
    },
    user: { token },
  };
  const gateway = await startGateway(t, await kubernetes.kubeconfigFor('kube-system', 'agent'));
  const through = { cluster: { server: gateway.stranger.restUrl + accountPath(account) }, user: {} };
  const namespaces = { direct: 'by-straight', through: 'by-gateways' };
  for (const name of Object.values(namespaces)) await api.post('/api/v1/namespaces', { metadata: { name } });
  const directories = t.testdir();
  const sessions = async (name: string, programs: Session['programs']): Promise<Sessions> => {
    const open = async (
      namespace: string,
      access: { readonly cluster: object; readonly user: object },
    ): Promise<Session> => {
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
  for (const session of [direct, through]) session.transcript();
  await Promise.all([commands(direct), commands(through)]);
  const right = direct.transcript();
  if (process.env['SHOW'] !== undefined) t.comment(right);
  t.equal(through.transcript(), right);
}
