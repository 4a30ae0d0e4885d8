/** `agent-gateway serve`: runs one replica until a signal or until it fails. */

import type { CommandIo } from '../command-line/command.js';
import { aborted } from '../core/deadline.js';
import { messageOf, toGatewayError, type GatewayError } from '../core/errors.js';
import { nodeProblem } from '../core/node-version.js';
import type { LoadedConfig } from '../gateway/config/config.js';
import { createGateway } from '../gateway/gateway.js';
import { createLogger } from './logger.js';
import { inMemory, inMemoryNotice, welcome } from './welcome.js';

/** `io.environment` is used to look up `env:KUBECONFIG_NAME`. */
export interface ServeOptions extends Omit<CommandIo, 'stdin'> {
  readonly loaded: LoadedConfig;
}

/** Messages are a few KB: with Node.js's own 8 KiB every third one takes a new piece of memory from the system. */
const bufferPoolBytes = 64 << 10;

/** @returns the exit code: 0 after a clean stop, 1 when the start or a background loop failed */
export async function serve(options: ServeOptions): Promise<number> {
  performance.mark('start: modules loaded, configuration read');
  const { loaded, version, environment, signal, stdout, stderr } = options;
  const { config, warnings } = loaded;
  const logger = createLogger({ ...config.logging, base: { instance: config.instance.id } }, stdout);
  Buffer.poolSize = bufferPoolBytes;
  const unsupported = nodeProblem(process.versions.node);
  if (unsupported !== undefined) logger.warn(unsupported.text);
  for (const warning of warnings) logger.warn(warning);
  const gateway = createGateway({ config, version, environment, logger });
  try {
    const addresses = await gateway.start(signal);
    logger.info({ ...addresses, cluster: config.kubesvc.cluster, version }, 'serving');
    if (config.logging.format === 'text') stdout.write(welcome(config, addresses));
    else if (config.sql.url === inMemory) logger.info({}, inMemoryNotice);
  } catch (thrown) {
    if (signal.aborted) return 0;
    const error = toGatewayError(thrown);
    stderr.write(`agent-gateway: ${describe(error)}\n`);
    return 1;
  }
  let code = 0;
  try {
    await Promise.race([aborted(signal), gateway.done]);
  } catch {
    code = 1;
  }
  try {
    await gateway.stop();
  } catch (error) {
    logger.error({ error: messageOf(error) }, 'shutdown failed; exiting anyway');
    code = 1;
  }
  logger.info({ code }, 'stopped');
  return code;
}

function describe(error: GatewayError): string {
  const { field } = error.details;
  const text = messageOf(error);
  return field === undefined || text.includes(field) ? text : `${field}: ${text}`;
}
