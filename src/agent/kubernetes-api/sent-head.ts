/** A request as the API server gets it: at the account's address, with the account's credentials and no others. */

import type { ApiAccess } from '../../kubernetes/access.js';
import type { HeaderList, HttpRequestHead, TunnelledRequest } from '../../tunnel/exchange.js';

export interface SentRequest {
  readonly origin: string;
  readonly pathPrefix: string;
  readonly head: HttpRequestHead;
}

export function isImpersonation(header: string): boolean {
  return header.toLowerCase().startsWith('impersonate-');
}

export function sentTo({ server, headers: credentials }: ApiAccess, request: TunnelledRequest): SentRequest {
  const { origin, pathname } = new URL(server);
  const { method, target, upgrade } = request;
  const headers = [
    ...withoutCredentials(request.headers),
    ...Object.entries(credentials).flatMap(([name, value]) => [value].flat().flatMap((each) => [name, each])),
  ];
  return { origin, pathPrefix: pathname.replace(/\/+$/u, ''), head: { method, target, headers, upgrade } };
}

/** The gateway has removed them already; X-Remote-* are of proxies that the API server trusts. */
function withoutCredentials(headers: HeaderList): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const [name = '', value = ''] = [headers[index], headers[index + 1]];
    if (!/^(?:authorization|cookie|x-remote-.*)$/iu.test(name)) kept.push(name, value);
  }
  return kept;
}
