/** Applies a changed configuration file while the agent runs; an invalid one changes nothing. */

import type { Environment } from '../../core/environment.js';
import { messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import { parseAgentConfiguration } from './read.js';
import type { AgentConfiguration } from './schema.js';

/** The text that the configuration was read from, and a way to read it again. */
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
  /** Called after a new configuration was applied. */
  readonly taken: (configuration: AgentConfiguration) => void;
  /** Called when a changed file is invalid. */
  readonly refused: () => void;
  readonly logger: Logger;
}

/** How often the file is checked, in ms: Kubernetes itself takes a minute to update a mounted one. */
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
    if (restart.length > 0) logger.warn({ keys: restart }, 'settings changed that take effect only after a restart');
    logger.info({ accounts: wanted.kubernetes.accounts.length }, 'configuration reloaded');
    current = wanted;
    taken(wanted);
  };
  const failed = (error: unknown): void => {
    refused();
    logger.error({ error: messageOf(error) }, 'changed configuration is invalid; keeping the old one');
  };
  return repeat({ pauseMs: () => periodMs, failed }, signal, look);
}

/** Changed settings that are only read at the start. */
function restartKeys(before: AgentConfiguration, after: AgentConfiguration): string[] {
  const rest = ({ kubernetes: _, logging: __, ...others }: AgentConfiguration): Record<string, unknown> => others;
  const [old, wanted] = [rest(before), rest(after)];
  return Object.keys({ ...old, ...wanted }).filter((key) => JSON.stringify(old[key]) !== JSON.stringify(wanted[key]));
}
