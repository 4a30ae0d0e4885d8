/** The jobs that keep the database small. Every replica runs them, but only one at a time does the work. */

import type { Logger } from '../../core/logger.js';
import { AccountStore } from '../../store/accounts/accounts.js';
import { CacheStore } from '../../store/cache/cache.js';
import type { Database } from '../../store/sql/database.js';
import type { LockStore } from '../../store/instances/locks.js';
import type { OperationStore } from '../../store/operations/operations.js';
import type { InstanceStore } from '../../store/instances/instances.js';
import type { PresenceStore } from '../../store/presence/presence.js';
import { cleanUpAccounts } from '../accounts/cleanup.js';
import { forgetGone } from '../agents/forget-gone.js';
import type { OwnershipService } from '../agents/ownership.js';
import { cleanUpCache } from '../caching/cleanup.js';
import type { Config } from '../config/config.js';
import { parseCron } from '../config/cron.js';
import { purgeHistory } from '../operations/retention.js';
import type { Metrics } from '../telemetry/metrics.js';

export interface MaintenanceOptions {
  readonly config: Config;
  readonly database: Database;
  readonly locks: LockStore;
  readonly operations: OperationStore;
  readonly instances: InstanceStore;
  readonly presence: PresenceStore;
  readonly ownership: OwnershipService;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly now: () => number;
}

/** Each runs until the signal aborts. */
export function maintenanceJobs(
  options: MaintenanceOptions,
): Readonly<Record<string, (signal: AbortSignal) => Promise<void>>> {
  const { config, database, locks, operations, instances, presence, ownership, metrics, logger, now } = options;
  const { kubesvc, instance } = config;
  const shared = { instanceId: instance.id, locks, logger };
  return {
    'account clean-up': (signal) => {
      const removed = (names: readonly string[]) => {
        // Finds that the accounts are gone, and tells the mirrors.
        for (const name of names) ownership.refresh(name, signal).catch(() => undefined);
      };
      const ageMs = kubesvc.cache.accountCleanupFrequencySeconds * 1_000;
      return cleanUpAccounts({ ...shared, accounts: new AccountStore(database), removed, ageMs }, signal);
    },
    'cache clean-up': (signal) => {
      const { eventsCleanupFrequencySeconds, cleanDataWithUnusedAccounts: cleanUnusedAccounts } = kubesvc.cache;
      const eventsMs = eventsCleanupFrequencySeconds * 1_000;
      return cleanUpCache({ ...shared, cache: new CacheStore(database), eventsMs, cleanUnusedAccounts }, signal);
    },
    'forgetting of what is gone': (signal) => {
      const { leaseMs } = kubesvc.instances;
      const ageMs = kubesvc.offline.forgetAfterSeconds * 1_000;
      return forgetGone({ ...shared, instances, presence, leaseMs, ageMs }, signal);
    },
    'history purge': (signal) => {
      const { weeks, cron } = kubesvc.jobs['operation-history'].purge;
      const purged = (count: number) => {
        metrics.historyPurged.inc(count);
      };
      const schedule = cron === undefined ? undefined : parseCron(cron);
      return purgeHistory({ ...shared, operations, weeks, schedule, purged, now }, signal);
    },
  };
}
