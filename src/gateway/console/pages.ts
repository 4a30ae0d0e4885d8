/** Lists in the order that is wanted, cut into pages. */

import { compareText } from '../../discovery/discovery.js';
import type { Page } from './answers.js';

const pageSize = 50;

/** Equal ones stay in the order that they have. */
export function sorted<Item>(
  items: readonly Item[],
  order: string | undefined,
  keys: Readonly<Record<string, (item: Item) => string | number>>,
): readonly Item[] {
  const down = order?.startsWith('-') === true;
  const key = keys[order?.slice(down ? 1 : 0) ?? ''];
  if (key === undefined) return items;
  return items.toSorted((a, b) => compared(key(a), key(b)) * (down ? -1 : 1));
}

function compared(a: string | number, b: string | number): number {
  return typeof a === 'number' && typeof b === 'number' ? a - b : compareText(String(a), String(b));
}

/** Whether a text contains `search`, in any case. */
export function containing(search: string | undefined): (text: string) => boolean {
  const part = search?.toLowerCase() ?? '';
  return (text) => text.toLowerCase().includes(part);
}

/** A page after the last one gives the last one: the list may have become shorter meanwhile. */
export function paged<Item, Row>(items: readonly Item[], wanted: number, toRow: (item: Item) => Row): Page<Row> {
  const pages = Math.max(1, Math.ceil(items.length / pageSize));
  const page = Math.min(wanted, pages - 1);
  const shown = items.slice(page * pageSize, (page + 1) * pageSize);
  return { items: shown.map(toRow), total: items.length, page, pages };
}
