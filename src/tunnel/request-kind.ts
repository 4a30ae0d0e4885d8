/** How long requests last: most are over in a moment, watches and upgraded connections stay for hours. */

import type { HttpRequestHead } from './exchange.js';
import { isWatch } from './watch-request.js';

export type ApiRequestKind = 'request' | 'watch' | 'upgrade';

/** Open requests by their kind. */
export type OpenByKind = Readonly<Record<ApiRequestKind, number>>;

export function requestKind(request: Pick<HttpRequestHead, 'method' | 'target' | 'upgrade'>): ApiRequestKind {
  if (request.upgrade !== '') return 'upgrade';
  return isWatch(request) ? 'watch' : 'request';
}
