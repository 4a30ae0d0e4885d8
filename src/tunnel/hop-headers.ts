/** Headers as bytes on a connection, and which of them end there. */

import type { HeaderList } from './exchange.js';

/** RFC 9110, 7.6.1. */
const hopByHop = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'te',
  'transfer-encoding',
  'upgrade',
  'proxy-authenticate',
  'proxy-authorization',
]);

/**
 * The headers of an answer that pass on to the next hop.
 * @param raw name, value, name, value ... as undici gives them
 * @param upgraded the answer is 101: `Upgrade`, which says to what, stays
 */
export function passingHeaders(raw: readonly (Buffer | string)[], upgraded = false): HeaderList {
  const all = raw.map((part) => (typeof part === 'string' ? part : part.toString('latin1')));
  const named = connectionOptions(all);
  const passing: string[] = [];
  for (let index = 0; index + 1 < all.length; index += 2) {
    const [name = '', value = ''] = [all[index], all[index + 1]];
    const lower = name.toLowerCase();
    const stays = upgraded && lower === 'upgrade';
    if (stays || !(hopByHop.has(lower) || named.has(lower))) passing.push(name, value);
  }
  return passing;
}

/** As undici takes them; it writes Host and the headers of the connection itself, and does not know Expect. */
export function sendingHeaders(headers: HeaderList): Record<string, string | string[]> {
  // A list of pairs would lose repeated headers at an HTTP proxy (undici's ProxyAgent).
  const all = Object.create(null) as Record<string, string | string[]>;
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const [name = '', value = ''] = [headers[index], headers[index + 1]];
    const lower = name.toLowerCase();
    if (hopByHop.has(lower) || lower === 'host' || lower === 'expect') continue;
    const before = all[name];
    all[name] = before === undefined ? value : [before, value].flat();
  }
  return all;
}

function connectionOptions(headers: HeaderList): ReadonlySet<string> {
  const named = new Set<string>();
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (headers[index]?.toLowerCase() !== 'connection') continue;
    for (const option of (headers[index + 1] ?? '').split(',')) named.add(option.trim().toLowerCase());
  }
  return named;
}
