/** Which requests are watches: their callers resume them where they ended, so they may be ended at any event. */

import type { HttpRequestHead } from './exchange.js';

/** `?watch` with any value but false and 0, as the API server reads it, or the old path `/watch/`. */
export function isWatch({ method, target }: Pick<HttpRequestHead, 'method' | 'target'>): boolean {
  if (method !== 'GET' || !/watch|%/u.test(target)) return false;
  const [path = '', query = ''] = target.split('?', 2);
  if (/^\/(?:api|apis\/[^/]+)\/[^/]+\/watch\//u.test(path)) return true;
  const watch = new URLSearchParams(query).get('watch');
  return watch !== null && !/^(?:0|false)$/iu.test(watch);
}
