/** Which requests are watches: their callers resume them where they ended, so they may be ended at any event. */

import type { HttpRequestHead } from './exchange.js';

/** `?watch=true`, as Go reads it, or the old path `/watch/`. */
export function isWatch({ method, target }: Pick<HttpRequestHead, 'method' | 'target'>): boolean {
  if (method !== 'GET') return false;
  const [path = '', query = ''] = target.split('?', 2);
  return (
    /^\/apis?\/(?:[^/]+\/)?[^/]+\/watch\//u.test(path) || /(?:^|&)watch=(?:1|t|T|true|TRUE|True)(?:&|$)/u.test(query)
  );
}
