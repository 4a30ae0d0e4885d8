/**
 * Whether there is room for one more request. What lasts for hours leaves room for what is over in a moment, or whoever
 * forwards enough ports would have everything else refused: upgraded connections get half of a limit, and together with
 * watches nine tenths.
 */

import type { ApiRequestKind, OpenByKind } from '../../tunnel/request-kind.js';

const upgradesShare = 0.5;
const lastingShare = 0.9;

/**
 * @param open without the request itself
 * @param limit of all requests
 * @returns what there is too much of, as "10 watches"; undefined: there is room
 */
export function withoutRoom(kind: ApiRequestKind, open: OpenByKind, limit: number): string | undefined {
  const lasting = open.watch + open.upgrade;
  if (kind === 'upgrade' && open.upgrade >= shareOf(limit, upgradesShare))
    return `${String(open.upgrade)} upgraded connections (exec, attach, port-forward)`;
  if (kind !== 'request' && lasting >= shareOf(limit, lastingShare))
    return `${String(lasting)} watches and upgraded connections`;
  const all = open.request + lasting;
  return all >= limit ? `${String(all)} requests` : undefined;
}

function shareOf(limit: number, share: number): number {
  return Math.max(1, Math.floor(limit * share));
}
