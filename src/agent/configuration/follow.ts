/** A changed configuration file is taken while the agent runs; one that cannot be used changes nothing. */

import type { Environment } from '../../core/environment.js';
import { messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import { parseAgentConfiguration } from './read.js';
import type { AgentConfiguration } from './schema.js';

/** The text that the configuration was read from, and as it is now. */
export interface ConfigurationFile {
  readonly name: string;
  readonly text: string;
  readonly read: () => Promise<string>;
}

export interface FollowOptions {
  readonly file: ConfigurationFile;
  readonly configuration: AgentConfiguration;
  readonly environment: Environment;
  readonly configure: (wanted: AgentConfiguration) => Promise<void>;
  /** Told of a configuration that was taken. */
  readonly taken: (configuration: AgentConfiguration) => void;
  /** Told that one cannot be used. */
  readonly refused: () => void;
  readonly logger: Logger;
}

/** How often the file is looked at, in ms: Kubernetes itself takes a minute to change a mounted one. */
const periodMs = 5_000;

/** Runs until the signal aborts. */
export function followConfiguration(options: FollowOptions, signal: AbortSignal): Promise<void> {
  const { file, environment, configure, taken, refused, logger } = options;
  let known = file.text;
  let current = options.configuration;
  const look = async (): Promise<void> => {
    const text = await file.read();
    if (text === known) return;
    known = text;
    const { configuration: wanted } = parseAgentConfiguration(text, file.name, environment);
    await configure(wanted);
    const restart = restartKeys(current, wanted);
    if (restart.length > 0) logger.warn({ keys: restart }, 'these settings take effect at the next start');
    logger.info({ accounts: wanted.kubernetes.accounts.length }, 'the configuration has changed');
    current = wanted;
    taken(wanted);
  };
  const failed = (error: unknown): void => {
    refused();
    logger.error({ error: messageOf(error) }, 'the changed configuration cannot be used, the old one stays');
  };
  return repeat({ pauseMs: () => periodMs, failed }, signal, look);
}

/** Settings that changed and are read at the start only. */
function restartKeys(before: AgentConfiguration, after: AgentConfiguration): string[] {
  const rest = ({ kubernetes: _, logging: __, ...others }: AgentConfiguration): Record<string, unknown> => others;
  const [old, wanted] = [rest(before), rest(after)];
  return Object.keys({ ...old, ...wanted }).filter((key) => JSON.stringify(old[key]) !== JSON.stringify(wanted[key]));
}
