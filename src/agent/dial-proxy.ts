/** The proxy for a gateway: HTTPS_PROXY, also for cleartext, as in Armory's agent (grpc-go). */

import type { ChannelOptions } from '@grpc/grpc-js';
import type { Environment } from '../core/environment.js';
import { proxyFor } from '../core/proxy.js';

/** The target to dial, and the options of grpc-js for it. */
export interface DialTarget {
  readonly target: string;
  readonly options: ChannelOptions;
}

/**
 * @param address `host:port`
 * @param environment absent: no proxy
 * @throws Error in words if the variable is not an address, or names a proxy other than http://
 */
export function dialTarget(address: string, environment: Environment | undefined): DialTarget {
  // The rules of grpc-js lack upper case, suffixes, ports and IPv6.
  const direct = { target: address, options: { 'grpc.enable_http_proxy': 0 } };
  const url = `https://${address.replace(/^dns:(?:\/\/\/)?/u, '')}`;
  if (environment === undefined || address.startsWith('unix:') || !URL.canParse(url)) return direct;
  const proxy = proxyFor(new URL(url), environment);
  if (proxy === undefined) return direct;
  if (proxy.protocol !== 'http:') {
    throw new Error(
      `HTTPS_PROXY: expected an http:// proxy for gateways, found ${proxy.protocol}//; or set clouddriver.noProxy`,
    );
  }
  const { username, password, hostname, port } = proxy;
  const authority = url.slice('https://'.length);
  return {
    target: `dns:${hostname}:${port || '80'}`,
    options: {
      ...direct.options,
      // The options that grpc-js sets by its own rules (http_proxy.ts).
      'grpc.http_connect_target': `dns:${authority}`,
      'grpc.default_authority': authority,
      ...(username === '' ? {} : { 'grpc.http_connect_creds': decodeURIComponent(`${username}:${password}`) }),
    },
  };
}
