/** `agent-gateway agent`: serves the accounts of a cluster to the gateway, until a signal. */

import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { destination } from 'pino';
import { parseAgentConfiguration, readConfigurationText } from '../agent/configuration/read.js';
import { createAgentService } from '../agent/service.js';
import { aborted } from '../core/deadline.js';
import { GatewayError, messageOf } from '../core/errors.js';
import { createLogger } from './logger.js';

export interface AgentCommandOptions {
  readonly version: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly stdout: NodeJS.WritableStream;
}

const usage = `Usage: agent-gateway agent --config FILE

Dials out to the gateway and serves it the accounts that FILE names (docs/agent-configuration.md).
AGENT_GATEWAY_AGENT_CONFIG names the file where --config does not.
`;

/** @throws GatewayError `configuration`. @returns the exit code */
export async function runAgent(args: readonly string[], options: AgentCommandOptions): Promise<number> {
  const { environment, signal, stdout, version } = options;
  const { config, help } = flagsOf(args);
  if (help) {
    stdout.write(usage);
    return 0;
  }
  const file = config ?? environment['AGENT_GATEWAY_AGENT_CONFIG'];
  if (file === undefined) throw new GatewayError('configuration', `--config: expected a file\n\n${usage}`);
  const text = readConfigurationText(file);
  const { configuration, warnings } = parseAgentConfiguration(text, file, environment);
  const { logging } = configuration;
  const stream = logging.file === undefined ? stdout : destination({ dest: logging.file, mkdir: true, sync: true });
  const logger = createLogger({ ...logging, base: logging.fields }, stream);
  for (const warning of warnings) logger.warn(warning);
  const service = createAgentService({
    configuration,
    version,
    environment,
    logger,
    hostname: hostname(),
    file: { name: file, text, read: () => readFile(file, 'utf8') },
    onConfiguration: (changed) => {
      logger.level = changed.logging.level;
    },
  });
  await service.start(signal);
  await aborted(signal);
  logger.info('stopping: operations that are under way may end');
  try {
    await service.stop();
  } catch (error) {
    logger.error({ error: messageOf(error) }, 'stop was not clean');
    return 1;
  }
  return 0;
}

function flagsOf(args: readonly string[]): { readonly config?: string; readonly help?: boolean } {
  try {
    const options = { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (error) {
    throw new GatewayError('configuration', `${messageOf(error)}\n\n${usage}`, { cause: error });
  }
}
