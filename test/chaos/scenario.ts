/** What a scenario is given, and what it gives. */

import type { Violation } from './violation.js';
import type { Callers, Outcome } from './callers.js';
import type { Build } from './build.js';
import type { FaultName } from './faults.js';
import { quantile } from './table.js';
import type { Verdict } from './settle.js';

export interface ScenarioContext {
  readonly seed: number;
  /** How much of it: 1 is the full one, less a shrunk one. */
  readonly scale: number;
  readonly build: Build;
  readonly log: (line: string) => void;
  /** Keeps histories and logs. */
  readonly keepFiles: boolean;
  /** In place of the faults that the scenario chooses from. */
  readonly faults?: readonly FaultName[];
}

export interface ScenarioResult {
  readonly violations: readonly Violation[];
  /** What was promised of numbers and not kept. */
  readonly failures: readonly string[];
  /** What people want to see of it. */
  readonly report: string;
  /** Where histories and logs are. */
  readonly directory: string;
  readonly verdict: Verdict;
}

export interface Scenario {
  readonly name: string;
  readonly description: string;
  run(context: ScenarioContext): Promise<ScenarioResult>;
}

/** One line on what callers saw. */
export function summary({ outcomes }: Pick<Callers, 'outcomes'>): string {
  const failed = outcomes.filter(({ status }) => status < 200 || status >= 300);
  const kinds = new Map<string, number>();
  for (const { status, problem } of failed) {
    const kind = `${status} ${problem}`.trim();
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const times = outcomes.map(({ tookMs }) => tookMs);
  const retried = outcomes.filter(({ attempts }) => attempts > 1).length;
  const listed = [...kinds].map(([kind, count]) => `${count} × ${kind}`).join(', ');
  return (
    `${outcomes.length} operations, ${failed.length} failed${listed === '' ? '' : ` (${listed})`}, ${retried} tried again, ` +
    `p50 ${quantile(times, 0.5).toFixed(0)} ms, p99 ${quantile(times, 0.99).toFixed(0)} ms, longest ${Math.max(0, ...times).toFixed(0)} ms`
  );
}

/** Whether an operation that was given once succeeded at its first attempt. */
export function succeeded({ status, attempts }: Outcome): boolean {
  return status >= 200 && status < 300 && attempts === 1;
}
