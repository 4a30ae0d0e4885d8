/** Impersonation: the headers of client-go (transport.NewImpersonatingRoundTripper). */

import type { Headers } from './access.js';
import { headerValue } from './header-value.js';
import type { Impersonated } from './kubeconfig.js';

const wire = (text: string): string => headerValue('as', text);

export function impersonationHeaders({ user, uid, groups, extra }: Impersonated): Headers {
  return {
    'impersonate-user': wire(user),
    ...(uid === undefined ? {} : { 'impersonate-uid': wire(uid) }),
    ...(groups.length === 0 ? {} : { 'impersonate-group': groups.map(wire) }),
    ...Object.fromEntries(
      [...extra].filter(([, values]) => values.length > 0).map(([key, values]) => [extraHeader(key), values.map(wire)]),
    ),
  };
}

/** Every byte that a header name may not have, and "%", becomes %XX; the API server undoes it. */
function extraHeader(key: string): string {
  const escaped = [...Buffer.from(key)].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[\w!#$&'*+.^`|~-]/u.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  });
  return `impersonate-extra-${escaped.join('')}`;
}
