/** Problems of settings, in words; never with the value of a secret. */

import { GatewayError } from '../core/errors.js';

/** The place where a value was written. */
export interface SettingOrigin {
  readonly kind: 'file' | 'environment' | 'flag' | 'default';
  /** As shown: `gateway.yml:12`, `AGENT_GATEWAY_SERVER_PORT`, `--server.port`. */
  readonly text: string;
}

export interface SettingProblem {
  readonly key: string;
  readonly message: string;
  readonly origin?: SettingOrigin;
}

/** A value that was set, before it is checked. */
export interface Entry {
  readonly key: string;
  readonly value: unknown;
  readonly origin: SettingOrigin;
}

/** One error that lists every problem, `field` being the key of the first. */
export function configurationError(problems: readonly SettingProblem[]): GatewayError {
  const lines = problems.map(({ key, message, origin }) => {
    return `${key}: ${message}${origin === undefined ? '' : ` (${origin.text})`}`;
  });
  const message =
    lines.length === 1
      ? (lines[0] ?? '')
      : `${String(lines.length)} problems in the configuration:\n${lines.map((line) => `  - ${line}`).join('\n')}`;
  return new GatewayError('configuration', message, { field: problems[0]?.key ?? '' });
}

/** A value as shown to people: short, and only its kind if it is a secret. */
export function found(value: unknown, secret: boolean | 'url'): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a section';
  if (secret) return value === '' ? 'empty text' : 'something else (not shown)';
  const json = JSON.stringify(value);
  return json.length > 60 ? `${json.slice(0, 57)}..."` : json;
}

/** The candidate that is nearest to `word`, if one is near enough to be a likely misspelling. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase(), bestDistance);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Optimal string alignment distance (insert, delete, replace, swap neighbours); `limit` if it is not less. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1];
      let value = Math.min(
        (previous[column] ?? limit) + 1,
        (current[column - 1] ?? limit) + 1,
        (previous[column - 1] ?? limit) + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) value = Math.min(value, (before[column - 2] ?? limit) + 1);
      current.push(value);
    }
    [before, previous] = [previous, current];
  }
  return Math.min(previous[b.length] ?? limit, limit);
}
