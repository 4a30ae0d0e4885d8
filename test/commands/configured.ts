/** A configuration of flags alone, and the findings of one check of `doctor`. */

import type { Finding } from '../../src/commands/doctor/finding.js';
import { loadConfig, type Config } from '../../src/gateway/config/config.js';

/** As the gateway would have it with these flags. */
export function configured(...flags: string[]): Config {
  return loadConfig({ environment: {}, flags }).config;
}

export async function collect(findings: AsyncIterable<Finding>): Promise<Finding[]> {
  const all: Finding[] = [];
  for await (const finding of findings) all.push(finding);
  return all;
}

/** `status check` of each. */
export function brief(findings: readonly Finding[]): string[] {
  return findings.map(({ status, check }) => `${status} ${check}`);
}
