/** Spans of time in a history: who was frozen, and who cached which account, when. */

import type { HistoryEvent } from './history.js';

/** On the history's clock, in ms; `to` is infinite for what lasts until the end. */
export interface Interval {
  readonly from: number;
  readonly to: number;
}

export interface CachingInterval extends Interval {
  readonly agent: string;
  readonly process: string;
}

export function overlapMs(a: Interval, b: Interval): number {
  return Math.max(0, Math.min(a.to, b.to) - Math.max(a.from, b.from));
}

/** When each process was frozen. */
export function freezes(events: readonly HistoryEvent[]): Map<string, Interval[]> {
  const result = new Map<string, Interval[]>();
  const since = new Map<string, number>();
  const end = (process: string, t: number): void => {
    const from = since.get(process);
    if (from === undefined) return;
    since.delete(process);
    result.set(process, [...(result.get(process) ?? []), { from, to: t }]);
  };
  for (const event of events) {
    if (event.type === 'frozen') since.set(event.process, event.t);
    if (event.type === 'thawed' || event.type === 'ended') end(event.process, event.t);
  }
  for (const process of [...since.keys()]) end(process, Number.POSITIVE_INFINITY);
  return result;
}

/**
 * When which agent cached an account, by the agents' own word. While its process is frozen, and for `wakeMs` after,
 * an agent caches nothing: it must notice by itself then.
 */
export function cachingIntervals(events: readonly HistoryEvent[], wakeMs: number): Map<string, CachingInterval[]> {
  const frozen = freezes(events);
  const open = new Map<string, { account: string; agent: string; process: string; from: number }>();
  const result = new Map<string, CachingInterval[]>();
  const close = (key: string, to: number): void => {
    const started = open.get(key);
    if (started === undefined) return;
    open.delete(key);
    const { account, agent, process, from } = started;
    const list = result.get(account) ?? [];
    result.set(account, list);
    for (const part of without({ from, to }, frozen.get(process) ?? [], wakeMs)) list.push({ ...part, agent, process });
  };
  for (const event of events) {
    if (event.type === 'caching') {
      const key = `${event.process} ${event.agent} ${event.account}`;
      if (!event.on) close(key, event.t);
      else if (!open.has(key)) open.set(key, { ...event, from: event.t });
    } else if (event.type === 'ended') {
      for (const [key, { process }] of open) if (process === event.process) close(key, event.t);
    }
  }
  for (const key of [...open.keys()]) close(key, Number.POSITIVE_INFINITY);
  return result;
}

function without(interval: Interval, holes: readonly Interval[], afterMs: number): Interval[] {
  let parts = [interval];
  for (const { from, to } of holes) {
    parts = parts.flatMap((part) =>
      [
        { from: part.from, to: Math.min(part.to, from) },
        { from: Math.max(part.from, to + afterMs), to: part.to },
      ].filter((piece) => piece.from < piece.to),
    );
  }
  return parts;
}
