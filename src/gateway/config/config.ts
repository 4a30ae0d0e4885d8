/**
 * The configuration of the gateway: one YAML file in the shape of Armory's plugin, environment variables over it,
 * flags over those. The schema is config/schema.ts; this file joins the sources and hands out the result.
 */

import { derivedDefaults } from './derived.js';
import { fileVariable, readEnvironment } from './environment.js';
import { readFlags } from './flags.js';
import { leaves, type Leaf } from './leaves.js';
import { configurationError, type SettingOrigin } from '../../configuration/problems.js';
import { checkRules } from './rules.js';
import type { Config } from './schema.js';
import { isLeaf } from './spelling.js';
import { withoutCredentials } from './url.js';
import { resolveValues, type SetValue } from './values.js';
import { readYaml } from './yaml.js';

export type { Config, TlsConfig } from './schema.js';

export interface ConfigSources {
  /** The YAML file; before `--config` in flags and AGENT_GATEWAY_CONFIG. Without any of them there is no file. */
  readonly file?: string;
  /** Only variables with the prefix AGENT_GATEWAY_ are settings; POD_NAME and POD_IP give defaults. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Arguments, `--KEY=VALUE` or `--KEY VALUE`, without the command and its own options. */
  readonly flags: readonly string[];
  /** Whether the log goes to a terminal; default: whether standard output is one. */
  readonly terminal?: boolean;
}

export interface LoadedConfig {
  /** Deep-frozen, every default filled in. */
  readonly config: Config;
  /** One sentence each, the key in front; for the log of the start. */
  readonly warnings: readonly string[];
}

/**
 * Reads and checks the configuration.
 * @throws GatewayError `configuration` that lists every problem, `field` being the key of the first
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const flags = readFlags(sources.flags);
  const environment = readEnvironment(sources.environment);
  const file = sources.file ?? flags.file ?? (sources.environment[fileVariable] || undefined);
  const entries = file === undefined ? [] : readYaml(file, isLeaf);
  const { values, problems, warnings } = resolveValues([...entries, ...environment.entries, ...flags.entries]);
  const faults = [...flags.problems, ...environment.problems, ...problems];

  const setting = (key: string) => (values.has(key) ? values.get(key)?.value : leaves.get(key)?.default);
  const terminal = sources.terminal ?? process.stdout.isTTY;
  const derived = derivedDefaults(setting, { environment: sources.environment, terminal });
  const config = build((key) => (values.has(key) ? setting(key) : (derived.get(key) ?? setting(key))));
  const findings = checkRules(config);
  // A default stands in for a faulty setting, so that what rules say about one means nothing.
  const broken = findings.problems
    .filter(({ key, message }) => !faults.some((fault) => fault.key === key || message.includes(fault.key)))
    .map((problem) => ({ ...originOf(values.get(problem.key)), ...problem }));
  if (faults.length + broken.length > 0) throw configurationError([...faults, ...broken]);
  return { config, warnings: [...warnings, ...findings.warnings] };
}

/** The configuration with every secret replaced by `***`, URLs by their hosts: for logs and the console. */
export function redacted(config: Config): Config {
  return build((key, leaf) => {
    const value = key.split('.').reduce<unknown>((node, name) => (node as Record<string, unknown>)[name], config);
    if (leaf.secret === false || value === undefined) return value;
    return leaf.secret === 'url' && typeof value === 'string' ? withoutCredentials(value) : '***';
  });
}

function originOf(set: SetValue | undefined): { readonly origin?: SettingOrigin } {
  return set === undefined ? {} : { origin: set.origin };
}

type Tree = { [name: string]: unknown };

function build(valueOf: (key: string, leaf: Leaf) => unknown): Config {
  const root: Tree = {};
  for (const [key, leaf] of leaves) {
    const path = key.split('.');
    const name = path.pop() ?? '';
    let section = root;
    for (const step of path) section = (section[step] ??= {}) as Tree;
    const value = valueOf(key, leaf);
    if (value !== undefined) section[name] = structuredClone(value);
  }
  deepFreeze(root);
  return root as Config;
}

function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  Object.values(value).forEach(deepFreeze);
  Object.freeze(value);
}
