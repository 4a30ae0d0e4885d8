/** `agent-gateway agent`: serves the accounts of a cluster to the gateway, until a signal. */

import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { destination } from 'pino';
import { parseAgentConfiguration, readConfigurationText } from '../agent/configuration/read.js';
import { createAgentService } from '../agent/service.js';
import type { CommandIo } from '../command-line/command.js';
import { UsageError } from '../command-line/usage-error.js';
import { aborted } from '../core/deadline.js';
import { messageOf } from '../core/errors.js';
import { nodeProblem } from '../core/node-version.js';
import { createLogger } from './logger.js';

/**
 * @param config file, instead of that in AGENT_GATEWAY_AGENT_CONFIG
 * @returns the exit code
 * @throws UsageError, GatewayError `configuration`
 */
export async function runAgent(config: string | undefined, io: CommandIo): Promise<number> {
  const { environment, signal, stdout, version } = io;
  const file = config ?? (environment['AGENT_GATEWAY_AGENT_CONFIG'] || undefined);
  if (file === undefined) throw new UsageError('--config is missing: which configuration file?');
  const text = readConfigurationText(file);
  const { configuration, warnings } = parseAgentConfiguration(text, file, environment);
  const { logging } = configuration;
  const stream = logging.file === undefined ? stdout : destination({ dest: logging.file, mkdir: true, sync: true });
  const logger = createLogger({ ...logging, base: logging.fields }, stream);
  const unsupported = nodeProblem(process.versions.node);
  if (unsupported !== undefined) logger.warn(unsupported.text);
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
  logger.info('stopping; waiting for operations under way');
  try {
    await service.stop();
  } catch (error) {
    logger.error({ error: messageOf(error) }, 'shutdown failed; exiting anyway');
    return 1;
  }
  return 0;
}
