/** Kubeconfigs for accounts through the gateway. Their entries are marked, so that our command replaces no other ones. */

import { readSettings, YamlError } from '../../documents/yaml.js';
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
  extensions?: { name: string; extension: { gateways: string } }[];
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

/**
 * For one account, with a token.
 * @param gateways name of this cluster of gateways, for gatewaysIn()
 */
export function kubeconfigWithToken(
  name: string,
  token: string,
  address: GatewayAddress,
  gateways: string,
): GatewayKubeconfig {
  const { contexts, ...config } = kubeconfigOf([name], address);
  const user = `agent-gateway/${name}`;
  return {
    ...config,
    contexts: contexts.map((entry) => ({ ...entry, context: { ...entry.context, user } })),
    users: [{ name: user, user: { token, ...mark(name) } }],
    'current-context': name,
    extensions: [{ name: markName, extension: { gateways } }],
  };
}

/**
 * The cluster of gateways that wrote a kubeconfig with a token.
 * @param contents from anywhere
 * @returns undefined: it is nobody's of us
 */
export function gatewaysIn(contents: unknown): string | undefined {
  // Most of the others end here, without being parsed.
  if (typeof contents !== 'string' || !contents.includes(markName)) return undefined;
  try {
    const { extensions = [] } = readSettings(contents).value as Partial<GatewayKubeconfig>;
    const gateways: unknown = extensions.find(({ name }) => name === markName)?.extension.gateways;
    return typeof gateways === 'string' ? gateways : undefined;
  } catch (error) {
    if (error instanceof YamlError || error instanceof TypeError) return undefined;
    throw error;
  }
}

const markName = 'agent-gateway';

function mark(account: string): Marks {
  return { extensions: [{ name: markName, extension: { account } }] };
}
