/** Reads the agent's configuration file: every problem at once, each with its key, what was expected and what was found. */

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import Type, { type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { configurationError, found, nearest, type Problem } from '../../configuration/problems.js';
import { parseSettings } from '../../configuration/yaml.js';
import { GatewayError, messageOf } from '../../core/errors.js';
import { agentSchema, type AgentConfiguration } from './schema.js';

/** Sections of Armory's agent that have no meaning here. */
export const unused: ReadonlyMap<string, string> = new Map([
  ['pprof', 'Node.js has its own inspector'],
  ['secrets', 'secrets come as files or variables: file:/PATH, env:NAME'],
  ['server.ssl', 'the health port tells nothing that needs it'],
]);

export interface LoadedAgentConfiguration {
  readonly configuration: AgentConfiguration;
  /** One sentence each. */
  readonly warnings: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws GatewayError `configuration` */
export function readConfigurationText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new GatewayError('configuration', `${file} cannot be read: ${messageOf(error)}`, { field: '--config' });
  }
}

/** @param file how it is named in errors. @throws GatewayError `configuration` that lists every problem */
export function parseAgentConfiguration(
  text: string,
  file: string,
  environment: Environment,
): LoadedAgentConfiguration {
  const { content, place } = parseSettings(text, basename(file));
  const reading = { problems: [] as Problem[], warnings: [] as string[], environment };
  const configuration = read(agentSchema, content, '', reading) as AgentConfiguration;
  const problems = [...reading.problems, ...rules(configuration)].map((problem): Problem => ({
    ...problem,
    origin: { kind: 'file', text: place(problem.key) },
  }));
  if (problems.length > 0) throw configurationError(problems);
  return { configuration, warnings: reading.warnings };
}

interface Reading {
  readonly problems: Problem[];
  readonly warnings: string[];
  readonly environment: Environment;
}

function read(schema: TSchema, value: unknown, key: string, reading: Reading): unknown {
  if (Type.IsObject(schema) && Object.keys(schema.properties).length > 0)
    return readSection(schema, value, key, reading);
  if (value === undefined || value === null) return structuredClone((schema as { default?: unknown }).default);
  if (Type.IsArray(schema) && Array.isArray(value)) {
    return value.map((item, index) => read(schema.items, item, `${key}[${String(index)}]`, reading));
  }
  const secret = (schema as { secret?: boolean }).secret === true;
  const meant = secret ? secretFrom(value, reading.environment) : numberFrom(schema, value);
  if (meant instanceof Error) reading.problems.push({ key, message: meant.message });
  else if (!Value.Check(schema, meant)) {
    reading.problems.push({ key, message: `expected ${expectation(schema)}, found ${found(value, secret)}` });
  }
  return meant;
}

function readSection(schema: TSchema, value: unknown, key: string, reading: Reading): unknown {
  const { properties, required = [] } = schema as unknown as {
    properties: Record<string, TSchema>;
    required?: readonly string[];
  };
  const given = value ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) {
    reading.problems.push({ key, message: `expected a section with keys below it, found ${found(value, false)}` });
    return {};
  }
  const join = (name: string): string => (key === '' ? name : `${key}.${name}`);
  for (const name of Object.keys(given)) {
    if (name in properties) continue;
    const reason = unused.get(join(name));
    if (reason !== undefined) reading.warnings.push(`${join(name)}: has no effect, ${reason}`);
    else {
      const candidate = nearest(name, Object.keys(properties));
      const hint = candidate === undefined ? '' : `; is ${join(candidate)} meant?`;
      reading.problems.push({ key: join(name), message: `no such setting${hint}` });
    }
  }
  const entries = Object.entries(properties).flatMap(([name, child]) => {
    const before = reading.problems.length;
    const result = read(child, (given as Record<string, unknown>)[name], join(name), reading);
    const missing = result === undefined && required.includes(name) && reading.problems.length === before;
    if (missing) reading.problems.push({ key: join(name), message: `expected ${expectation(child)}, found nothing` });
    return result === undefined ? [] : [[name, result] as const];
  });
  return Object.fromEntries(entries);
}

/** Charts and operators like to write numbers and booleans as text. */
function numberFrom(schema: TSchema, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (Type.IsBoolean(schema)) return { true: true, false: false }[value.toLowerCase()] ?? value;
  if (Type.IsInteger(schema) || Type.IsNumber(schema)) return /^-?\d+(\.\d+)?$/u.test(value) ? Number(value) : value;
  if (Type.IsEnum(schema)) return schema.enum.find((one) => String(one).toLowerCase() === value.toLowerCase()) ?? value;
  return value;
}

function secretFrom(value: unknown, environment: Environment): unknown {
  if (typeof value !== 'string') return value;
  if (value.startsWith('env:')) {
    return environment[value.slice(4)] ?? new Error(`the variable ${value.slice(4)} is not set`);
  }
  if (!value.startsWith('file:')) return value;
  try {
    return readFileSync(value.slice(5), 'utf8').trim();
  } catch (error) {
    return new Error(`the file that it names cannot be read: ${messageOf(error)}`);
  }
}

function expectation(schema: TSchema): string {
  if (Type.IsBoolean(schema)) return 'true or false';
  if (Type.IsEnum(schema)) return `one of ${schema.enum.join(', ')}`;
  if (Type.IsInteger(schema) || Type.IsNumber(schema)) {
    const { minimum, maximum } = schema as { minimum?: number; maximum?: number };
    return `a number from ${String(minimum)} to ${String(maximum)}`;
  }
  if (Type.IsArray(schema)) return 'a list';
  return Type.IsObject(schema) ? 'a section' : 'text';
}

/** What no single setting can tell. */
function rules({ clouddriver, dynamicAccounts, kubernetes }: AgentConfiguration): Problem[] {
  const problems: Problem[] = [];
  const mustHold = (holds: boolean, key: string, message: string): void => {
    if (!holds) problems.push({ key, message });
  };
  const accounts = Array.isArray(kubernetes?.accounts) ? kubernetes.accounts : [];
  mustHold(
    accounts.length > 0 || dynamicAccounts.enabled,
    'kubernetes.accounts',
    'expected at least one account, or dynamicAccounts.enabled: true',
  );
  const names = new Set<string>();
  accounts.forEach(({ name, serviceAccount, kubeConfigFile }, index) => {
    const key = `kubernetes.accounts[${String(index)}]`;
    mustHold(!names.has(name), `${key}.name`, `"${name}" is named twice`);
    names.add(name);
    mustHold(
      serviceAccount !== (kubeConfigFile !== undefined),
      key,
      'expected either serviceAccount: true or a kubeConfigFile',
    );
  });
  const { clientCertFile, clientKeyFile } = clouddriver.tls;
  mustHold(
    (clientCertFile === undefined) === (clientKeyFile === undefined),
    'clouddriver.tls.clientKeyFile',
    'expected both clouddriver.tls.clientCertFile and clouddriver.tls.clientKeyFile, or neither',
  );
  const { token, tokenFile, tokenCommand } = clouddriver.auth;
  const tokens = [token, tokenFile, tokenCommand.command].filter((each) => each !== undefined);
  mustHold(tokens.length <= 1, 'clouddriver.auth', 'expected one of token, tokenFile and tokenCommand.command');
  return problems;
}
