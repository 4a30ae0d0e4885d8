/** Kubeconfigs for accounts through the gateway. Their entries are marked, so that our command replaces no other ones. */

import { accountPath } from './path.js';

interface Marks {
  extensions: { name: string; extension: { account: string } }[];
}

/** As kubectl reads it. */
export interface GatewayKubeconfig {
  apiVersion: 'v1';
  kind: 'Config';
  clusters: { name: string; cluster: { server: string; 'certificate-authority-data'?: string } & Marks }[];
  contexts: { name: string; context: { cluster: string; user: string } & Marks }[];
  users: { name: string; user: { token?: string } & Marks }[];
  'current-context'?: string;
}

/** How clients reach the gateway. */
export interface GatewayAddress {
  /** As kubesvc.kubernetesApi.publicUrl. */
  readonly baseUrl: string;
  /** PEM of the CA that clients need; undefined: none, or not known here. */
  readonly certificateAuthority: string | undefined;
}

/** For several accounts, with a user without credentials. */
export function kubeconfigOf(names: readonly string[], { baseUrl, certificateAuthority }: GatewayAddress) {
  const base = baseUrl.replace(/\/+$/u, '');
  const user = `agent-gateway/${new URL(base).host}`;
  const authority =
    certificateAuthority === undefined || !base.startsWith('https:')
      ? {}
      : { 'certificate-authority-data': Buffer.from(certificateAuthority).toString('base64') };
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: names.map((name) => ({
      name: `agent-gateway/${name}`,
      cluster: { server: base + accountPath(name), ...authority, ...mark(name) },
    })),
    contexts: names.map((name) => ({
      name,
      context: { cluster: `agent-gateway/${name}`, user, ...mark(name) },
    })),
    users: names.length === 0 ? [] : [{ name: user, user: mark('') }],
  } satisfies GatewayKubeconfig;
}

/** For one account, with a token. */
export function kubeconfigWithToken(name: string, token: string, address: GatewayAddress): GatewayKubeconfig {
  const { contexts, ...config } = kubeconfigOf([name], address);
  const user = `agent-gateway/${name}`;
  return {
    ...config,
    contexts: contexts.map((entry) => ({ ...entry, context: { ...entry.context, user } })),
    users: [{ name: user, user: { token, ...mark(name) } }],
    'current-context': name,
  };
}

function mark(account: string): Marks {
  return { extensions: [{ name: 'agent-gateway', extension: { account } }] };
}
