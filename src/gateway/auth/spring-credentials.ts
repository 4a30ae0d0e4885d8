/**
 * The token of a Spring Cloud Config client: it sends `spring.cloud.config.password` by Basic, `spring.cloud.config.token` in
 * a header of its own, or a whole header of its configuration.
 */

import type { IncomingHttpHeaders } from 'node:http';

/** As a Bearer token, which is what `server.auth` knows; the user name means nothing, for a token has a name of its own. */
export function springCredentials(headers: IncomingHttpHeaders): { readonly authorization: string | undefined } {
  const { authorization, 'x-config-token': token } = headers;
  if (authorization === undefined) return { authorization: typeof token === 'string' ? `Bearer ${token}` : undefined };
  const basic = /^Basic +(\S+)$/iu.exec(authorization)?.[1];
  if (basic === undefined) return { authorization };
  const password = /^[^:]*:(.*)$/su.exec(Buffer.from(basic, 'base64').toString('utf8'))?.[1];
  return { authorization: password === undefined ? authorization : `Bearer ${password}` };
}
