/** `agent-gateway doctor`: checks everything that the gateway will rely on, and says what to fix. */

import { UsageError } from '../command-line/usage-error.js';
import type { Environment } from '../core/environment.js';
import { GatewayError, messageOf } from '../core/errors.js';
import { loadConfig, type Config, type ConfigSources } from '../gateway/config/config.js';
import type { Finding } from './doctor/finding.js';
import { examineIdentities } from './doctor/identities.js';
import { examineKubernetes } from './doctor/kubernetes.js';
import { examinePorts } from './doctor/ports.js';
import { examineRedis } from './doctor/redis.js';
import { examineSpinnaker } from './doctor/spinnaker.js';
import { examineSql } from './doctor/sql.js';
import { examineTls } from './doctor/tls.js';

export interface DoctorOutput {
  /** Writes a piece of text, including line ends. */
  readonly write: (text: string) => void;
  readonly signal: AbortSignal;
  /** `text`: a line for each finding as it comes; `json`: one object at the end. Default `text`. */
  readonly output?: 'text' | 'json';
  /** Proxies, and variables that credential plugins inherit; default: none. */
  readonly environment?: Environment;
}

/**
 * The command: loads the configuration, which is the first check, then runs the others.
 * @param sources with `--output text|json` among the flags
 * @returns the exit code: 1 when a check failed, 0 otherwise
 * @throws UsageError
 */
export async function doctor(
  sources: ConfigSources,
  io: Omit<DoctorOutput, 'output' | 'environment'>,
): Promise<number> {
  const { output, flags } = takeOutput(sources.flags);
  let loaded: ReturnType<typeof loadConfig>;
  try {
    loaded = loadConfig({ ...sources, flags });
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    const [found = '', ...rest] = messageOf(error).split('\n');
    const remedy = [...rest, 'docs/configuration.md lists every setting.'].join('\n');
    return report([{ check: 'configuration', status: 'failed', found, remedy }], { ...io, output });
  }
  return runDoctor(loaded.config, { ...io, output, environment: sources.environment }, loaded.warnings);
}

/**
 * Runs every check that the configuration asks for.
 * @param warnings of the configuration
 * @returns the exit code: 1 when a check failed, 0 otherwise
 * @throws the reason of the signal
 */
export function runDoctor(config: Config, io: DoctorOutput, warnings: readonly string[] = []): Promise<number> {
  return report(findings(config, warnings, io), io);
}

async function* findings(
  config: Config,
  warnings: readonly string[],
  { signal, environment = {} }: DoctorOutput,
): AsyncGenerator<Finding> {
  const check = 'configuration';
  yield { check, status: 'ok', found: `instance ${config.instance.id}, cluster ${config.kubesvc.cluster}` };
  for (const found of warnings) yield { check, status: 'warning', found };
  yield* examineTls(config, signal);
  yield* examineIdentities(config, environment, signal);
  yield* examineSql(config, signal);
  yield* examineRedis(config, signal);
  yield* examineKubernetes(config, signal, { environment });
  yield* examinePorts(config, signal);
  yield* examineSpinnaker(config, signal);
}

async function report(
  source: AsyncIterable<Finding> | Iterable<Finding>,
  { write, output = 'text' }: DoctorOutput,
): Promise<number> {
  const all: Finding[] = [];
  for await (const finding of source) {
    all.push(finding);
    if (output === 'text') write(textOf(finding));
  }
  const count = (status: Finding['status']): number => all.filter((finding) => finding.status === status).length;
  const isOk = count('failed') === 0;
  if (output === 'json') write(`${JSON.stringify({ ok: isOk, findings: all }, undefined, 2)}\n`);
  else write(`${String(count('ok'))} ok, ${String(count('warning'))} warnings, ${String(count('failed'))} failed\n`);
  return isOk ? 0 : 1;
}

const margin = ' '.repeat(9);

function textOf({ check, status, found, remedy }: Finding): string {
  const line = `${status.padEnd(margin.length)}${check}: ${found}\n`;
  return remedy === undefined ? line : `${line}${remedy.replace(/^/gm, margin)}\n`;
}

function takeOutput(flags: readonly string[]): { output: 'text' | 'json'; flags: string[] } {
  const rest = [...flags];
  const index = rest.findIndex((flag) => flag === '--output' || flag.startsWith('--output='));
  if (index === -1) return { output: 'text', flags: rest };
  const [flag = '', next] = rest.slice(index, index + 2);
  const inline = flag.startsWith('--output=');
  const value = inline ? flag.slice('--output='.length) : next;
  if (value !== 'text' && value !== 'json')
    throw new UsageError(`--output must be one of text, json, not "${value ?? ''}"`);
  rest.splice(index, inline ? 1 : 2);
  return { output: value, flags: rest };
}
