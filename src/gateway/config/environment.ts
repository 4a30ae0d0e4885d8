/** Settings from environment variables: AGENT_GATEWAY_ and the key as Spring writes it. */

import { aliases, unused } from './foreign.js';
import { leaves } from './leaves.js';
import { nearest, type Entry, type SettingProblem } from '../../configuration/problems.js';

export const prefix = 'AGENT_GATEWAY_';
/** The variable that names the file. */
export const fileVariable = `${prefix}CONFIG`;

/** Variables of the terminal's commands (src/client/), which may be set where a replica is started. */
const clientVariables = new Set(['REST', 'TOKEN', 'TOKEN_FILE'].map((name) => prefix + name));

/** The variable of a key: upper case, dots to underscores, dashes removed (Spring Boot, "relaxed binding"). */
export function variableOf(key: string): string {
  return prefix + key.replaceAll('-', '').replaceAll('.', '_').toUpperCase();
}

const keys: ReadonlyMap<string, string> = new Map(
  [...leaves.keys(), ...aliases.keys(), ...unused.keys()].map((key) => [variableOf(key), key]),
);

/**
 * What Kubernetes sets in every container for each Service of the namespace (enableServiceLinks), here for a Service
 * whose name starts with `agent-gateway`: `AGENT_GATEWAY_PORT=tcp://10.0.0.1:7002`, `..._SERVICE_HOST` and so on.
 */
const serviceLink = /_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;

/** The variables that are set, and a problem for each that is ours by its prefix but names no setting. */
export function readEnvironment(environment: Readonly<Record<string, string | undefined>>): {
  readonly entries: readonly Entry[];
  readonly problems: readonly SettingProblem[];
} {
  const entries: Entry[] = [];
  const problems: SettingProblem[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(prefix) || name === fileVariable || clientVariables.has(name)) continue;
    if (value === undefined) continue;
    const key = keys.get(name);
    if (serviceLink.test(name) && (key === undefined || /^(tcp|udp|sctp):\/\//.test(value))) continue;
    if (key === undefined) {
      const candidate = nearest(name, keys.keys());
      problems.push({
        key: name,
        message: `no such setting${candidate === undefined ? '' : `; did you mean ${candidate}?`}`,
      });
    } else {
      entries.push({ key, value, origin: { kind: 'environment', text: name } });
    }
  }
  return { entries, problems };
}
