/** Reads the agent's configuration file: every problem at once, each with its key, the expected value, and the line. */

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import Type, { type TSchema } from 'typebox';
import { configurationError, found, nearest, type SettingProblem } from '../../configuration/problems.js';
import { isSection, join, parseSettings } from '../../configuration/yaml.js';
import type { Environment } from '../../core/environment.js';
import { GatewayError, messageOf } from '../../core/errors.js';
import { restrictions, unused } from './foreign.js';
import { checkRules } from './rules.js';
import { agentSchema, type AgentConfiguration } from './schema.js';
import { normalizeSpelling } from './spelling.js';
import { expectation, valueOf } from './values.js';

export interface LoadedAgentConfiguration {
  readonly configuration: AgentConfiguration;
  /** One sentence each. */
  readonly warnings: readonly string[];
}

/** @throws GatewayError `configuration` */
export function readConfigurationText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new GatewayError('configuration', `${file} cannot be read: ${messageOf(error)}`, { field: '--config' });
  }
}

/** @param file its name in errors. @throws GatewayError `configuration` that lists every problem */
export function parseAgentConfiguration(
  text: string,
  file: string,
  environment: Environment,
): LoadedAgentConfiguration {
  const { content, place } = parseSettings(text, basename(file));
  const { tree, written, problems: misspelt } = normalizeSpelling(content);
  const reading: Reading = { problems: [...misspelt], withoutEffect: new Map(), environment };
  const configuration = read(agentSchema, tree, '', reading) as AgentConfiguration;
  const broken = checkRules(configuration, tree).filter(
    ({ key }) => !reading.problems.some(({ key: wrong }) => key.startsWith(wrong) || wrong.startsWith(`${key}.`)),
  );
  const problems = [...reading.problems, ...broken].map(({ key, message }): SettingProblem => {
    const shown = written.get(key) ?? key;
    return { key: shown, message, origin: { kind: 'file', text: place(shown) } };
  });
  if (problems.length > 0) throw configurationError(problems);
  const ignored = [...reading.withoutEffect].map(([key, reason]) => `${key} (${reason})`);
  return { configuration, warnings: ignored.length === 0 ? [] : [`no effect here: ${ignored.join(', ')}`] };
}

interface Reading {
  readonly problems: SettingProblem[];
  /** Keys in the file that have no effect here, and why. */
  readonly withoutEffect: Map<string, string>;
  readonly environment: Environment;
}

function read(schema: TSchema, value: unknown, key: string, reading: Reading): unknown {
  if (Type.IsObject(schema) && Object.keys(schema.properties).length > 0)
    return readSection(schema, value, key, reading);
  if (value === undefined || value === null) return structuredClone((schema as { default?: unknown }).default);
  if (Type.IsArray(schema) && Type.IsObject(schema.items) && Array.isArray(value)) {
    return value.map((item, index) => read(schema.items, item, `${key}[${String(index)}]`, reading));
  }
  const result = valueOf(schema, value, reading.environment);
  if ('problem' in result) {
    reading.problems.push({ key, message: result.problem });
    return value;
  }
  return result.value;
}

function readSection(schema: TSchema, value: unknown, key: string, reading: Reading): unknown {
  const { properties, required = [] } = schema as unknown as {
    properties: Record<string, TSchema>;
    required?: readonly string[];
  };
  const given = value ?? {};
  if (!isSection(given)) {
    reading.problems.push({ key, message: `expected a section with keys below it, found ${found(value, false)}` });
    // Its defaults replace it, so that rules can be checked.
    return readSection(schema, {}, key, { ...reading, problems: [] });
  }
  for (const [name, child] of Object.entries(given)) {
    if (!(name in properties)) readForeign(join(key, name), child, Object.keys(properties), reading);
  }
  const entries = Object.entries(properties).flatMap(([name, child]) => {
    const before = reading.problems.length;
    const result = read(child, given[name], join(key, name), reading);
    const missing = result === undefined && required.includes(name) && reading.problems.length === before;
    if (missing)
      reading.problems.push({ key: join(key, name), message: `expected ${expectation(child)}, found nothing` });
    return result === undefined ? [] : [[name, result] as const];
  });
  return Object.fromEntries(entries);
}

/** A key that is not ours: without effect, or a problem. */
function readForeign(key: string, value: unknown, siblings: readonly string[], reading: Reading): void {
  const general = key.replaceAll(/\[\d+\]/gu, '[]');
  const restriction = restrictions.get(general);
  if (restriction?.restricts(value) === true) {
    reading.problems.push({ key, message: `has no effect here; ${restriction.instead}` });
    return;
  }
  const reason = unused.get(general);
  if (reason !== undefined) {
    reading.withoutEffect.set(general, reason);
    if (!isSection(value)) return;
    // A restriction may be nested in a section that has no effect as a whole.
    for (const [name, child] of Object.entries(value)) {
      if (restrictions.has(join(general, name))) readForeign(join(key, name), child, [], reading);
    }
    return;
  }
  if (restriction !== undefined) return;
  const name = key.slice(key.lastIndexOf('.') + 1);
  const section = key.slice(0, Math.max(0, key.lastIndexOf('.')));
  const candidate = nearest(name, siblings);
  const hint = candidate === undefined ? '' : `; did you mean ${join(section, candidate)}?`;
  reading.problems.push({ key, message: `no such setting${hint}` });
}
