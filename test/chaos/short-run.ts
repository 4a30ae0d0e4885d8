/** A shrunk scenario as a test. */

import { t as root, type Test } from 'tap';
import { fileTimeoutMs } from '../file-timeout.js';
import { copySources } from './build.js';
import { describeViolations } from './describe.js';
import type { Scenario, ScenarioResult } from './scenario.js';

export interface ShortRunOptions {
  readonly seed: number;
  /** Part of the full scenario, 0 to 1. */
  readonly scale: number;
}

/** Runs it and asserts that no invariant was broken; numbers that depend on the machine are the caller's to look at. */
export async function shortRun(t: Test, scenario: Scenario, options: ShortRunOptions): Promise<ScenarioResult> {
  root.setTimeout(fileTimeoutMs);
  t.setTimeout(fileTimeoutMs);
  const build = await copySources();
  t.teardown(() => build.remove());
  t.comment(`${scenario.name} --seed ${options.seed} --scale ${options.scale}`);
  const result = await scenario.run({ ...options, build, keepFiles: false, log: (line) => t.comment(line) });
  t.comment(result.report);
  const { violations, verdict } = result;
  if (violations.length > 0) t.comment(describeViolations(verdict.events, violations));
  t.same(
    violations.map(({ rule, subject, message }) => `${rule}: ${subject}: ${message}`),
    [],
    'no invariant is broken',
  );
  return result;
}
