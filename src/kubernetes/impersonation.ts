/** As whom a user acts: the headers of client-go (transport.NewImpersonatingRoundTripper). */

import type { Headers } from './access.js';
import type { Impersonated } from './kubeconfig.js';

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

/** Headers are written byte by byte: UTF-8, as Go does it. @throws Error when no header may have such a value */
function wire(value: string): string {
  // eslint-disable-next-line no-control-regex -- these are what a header may not have
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/u.test(value))
    throw new Error('as: expected text without control characters');
  return Buffer.from(value).toString('latin1');
}
