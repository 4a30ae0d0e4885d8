/** Puts together the gateway as Spring Cloud Config Server of Clouddrivers. */

import type { Logger } from '../../core/logger.js';
import type { LockStore } from '../../store/instances/locks.js';
import type { Config } from '../config/config.js';
import type { SpringConfigRoutesOptions } from '../rest/spring-config.js';
import { ConfigAccounts } from '../spinnaker/config-accounts.js';
import { configVersion } from '../spinnaker/config-environment.js';
import { ConfigRefresh } from '../spinnaker/config-refresh.js';
import type { PublishedAccounts } from '../spinnaker/published-accounts.js';
import type { Metrics } from '../telemetry/metrics.js';

export interface ConfigServerParts {
  readonly config: Config;
  readonly published: PublishedAccounts;
  readonly locks: LockStore;
  readonly metrics: Pick<Metrics, 'configRefreshes'>;
  readonly logger: Logger;
}

export interface ConfigServer extends SpringConfigRoutesOptions {
  /** Asks Clouddrivers until the signal aborts; absent: none are configured. */
  readonly refresh: ((signal: AbortSignal) => Promise<void>) | undefined;
}

/** @returns undefined if it is switched off */
export function createConfigServer({
  config,
  published,
  locks,
  metrics,
  logger,
}: ConfigServerParts): ConfigServer | undefined {
  const { enabled, applications, anonymous, refresh } = config.spinnaker.configServer;
  if (!enabled) return undefined;
  const accounts = new ConfigAccounts({ published, logger });
  const refresher = new ConfigRefresh({
    instanceId: config.instance.id,
    locks,
    version: async (signal) => configVersion(await accounts.list(signal)),
    urls: refresh.urls,
    intervalMs: refresh.intervalSeconds * 1_000,
    asked: (outcome) => {
      metrics.configRefreshes.inc({ outcome });
    },
    logger,
  });
  return {
    springConfig: {
      applications,
      access: { anonymous, setting: 'spinnaker.configServer.anonymous' },
      accounts: (signal) => accounts.list(signal),
    },
    refresh: refresh.urls.length === 0 ? undefined : (signal) => refresher.run(signal),
  };
}
