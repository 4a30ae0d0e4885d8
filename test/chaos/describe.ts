/** A violation with what the history says around it. */

import type { Violation } from './violation.js';
import type { HistoryEvent } from './history.js';

const shown = 20;
const linesEach = 25;

/** Every kind is counted; the first few are shown with the history of their subject and the faults around. */
export function describeViolations(events: readonly HistoryEvent[], violations: readonly Violation[]): string {
  const counts = new Map<string, number>();
  for (const { rule } of violations) counts.set(rule, (counts.get(rule) ?? 0) + 1);
  const lines = [`violations: ${[...counts].map(([rule, count]) => `${count} × ${rule}`).join(', ')}`];
  const perRule = new Map<string, number>();
  for (const violation of violations) {
    const already = perRule.get(violation.rule) ?? 0;
    perRule.set(violation.rule, already + 1);
    if (already >= 3 || lines.length > shown * linesEach) continue;
    const at = violation.t === undefined ? '' : ` at ${violation.t.toFixed(0)}`;
    lines.push('', `* ${violation.rule}: ${violation.subject}${at}: ${violation.message}`);
    lines.push(...context(events, violation).map((event) => `    ${JSON.stringify(event)}`));
  }
  return lines.join('\n');
}

function context(events: readonly HistoryEvent[], { subject, t }: Violation): readonly HistoryEvent[] {
  const about = events.filter((event) => {
    if ('id' in event && event.id === subject) return true;
    if (event.type === 'caching') return event.account === subject && near(event.t, t, 15_000);
    if (event.type === 'connected') return event.agent === subject;
    return false;
  });
  const from = Math.min(t ?? Number.POSITIVE_INFINITY, about[0]?.t ?? Number.POSITIVE_INFINITY) - 12_000;
  const to = Math.max(t ?? 0, about.at(-1)?.t ?? 0) + 500;
  const around = events.filter(
    (event) =>
      event.t >= from && event.t <= to && ['fault', 'started', 'ended', 'frozen', 'thawed'].includes(event.type),
  );
  return [...about, ...around].sort((a, b) => a.t - b.t).slice(-linesEach);
}

function near(at: number, t: number | undefined, ms: number): boolean {
  return t === undefined || Math.abs(at - t) < ms;
}
