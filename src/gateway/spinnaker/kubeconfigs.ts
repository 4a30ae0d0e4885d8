/** The kubeconfigs with which Clouddriver reaches accounts through the gateway. */

import { writeYaml } from '../../documents/yaml.js';
import type { AccountTokens } from '../auth/account-tokens.js';
import { kubeconfigWithToken } from '../kubernetes-api/kubeconfig.js';

export interface SpinnakerKubeconfigsOptions {
  readonly tokens: Pick<AccountTokens, 'sign'>;
  /** kubesvc.kubernetesApi.publicUrl */
  readonly publicUrl: string;
  /** spinnaker.gateways: who made it, for those who find it at Clouddriver. */
  readonly gateways: string;
  /** PEM of the CA that clients need; undefined: none, or not known here. */
  readonly certificateAuthority: () => string | undefined;
}

export interface SpinnakerKubeconfig {
  /** YAML, with a token: a secret. It is the same on every instance, and changes only with its token or its CA. */
  readonly contents: string;
  /** When it changes next, Unix ms; at the latest half of the token's lifetime later it is no longer accepted. */
  readonly renewAt: number;
}

/** Kept ones, of some KiB each. Their lists are made every few seconds, and YAML takes ten times as long as a token. */
const mostKept = 5_000;

export class SpinnakerKubeconfigs {
  readonly #options: SpinnakerKubeconfigsOptions;
  readonly #kept = new Map<string, { readonly token: string; readonly authority: string; readonly contents: string }>();

  constructor(options: SpinnakerKubeconfigsOptions) {
    this.#options = options;
  }

  /** `kubeconfigContents` of an account of Clouddriver. @param now Unix ms */
  async contentsFor(account: string, now: number): Promise<SpinnakerKubeconfig> {
    const { tokens, publicUrl, gateways, certificateAuthority } = this.#options;
    const { token, renewAt } = await tokens.sign(account, now);
    const authority = certificateAuthority();
    const kept = this.#kept.get(account);
    if (kept?.token === token && kept.authority === (authority ?? '')) return { contents: kept.contents, renewAt };
    const address = { baseUrl: publicUrl, certificateAuthority: authority };
    const contents = writeYaml(kubeconfigWithToken(account, token, address, gateways));
    if (this.#kept.size >= mostKept) this.#kept.clear();
    this.#kept.set(account, { token, authority: authority ?? '', contents });
    return { contents, renewAt };
  }
}
