/** A load report, and its progress, for people. */

import { outcomes } from './answer.js';
import type { LoadProgress, LoadReport } from './load-report.js';

export function progressText({ elapsedMs, answered, inFlight, unsuccessful, perSecond }: LoadProgress): string {
  const seconds = (elapsedMs / 1000).toFixed(0);
  return `${seconds} s: ${answered} answered, ${perSecond.toFixed(0)}/s, ${inFlight} in flight, ${unsuccessful} unsuccessful`;
}

export function reportText(report: LoadReport): string {
  const { latencyMs, routes } = report;
  const rows: [string, string][] = [
    ['sent', `${report.sent} in ${(report.durationMs / 1000).toFixed(1)} s`],
    ...outcomes.map((outcome): [string, string] => [`  ${outcome}`, String(report.outcomes[outcome])]),
  ];
  if (report.notSent > 0) rows.push(['  not sent', `${report.notSent} (too many in flight for this rate)`]);
  if (report.dropped > 0) rows.push(['  interrupted', String(report.dropped)]);
  rows.push(['throughput', `${report.throughputPerSecond} operations/s`]);
  for (const name of ['p50', 'p90', 'p99', 'max'] as const) {
    rows.push([`latency ${name}`, `${latencyMs[name].toFixed(2)} ms`]);
  }
  if (routes.local + routes.forwarded > 0) {
    rows.push(['routed', `${routes.local} on the instance asked, ${routes.forwarded} forwarded`]);
  }
  const lines = rows.map(([name, value]) => `${name.padEnd(16)} ${value}`);
  if (report.failures.length > 0) lines.push('failures');
  for (const { kind, count, example } of report.failures)
    lines.push(`  ${String(count).padStart(7)} × ${kind}: ${example}`);
  return `${lines.join('\n')}\n`;
}
