/** Automatic migration: accounts of a Clouddriver whose names match become active dynamic accounts. */

import { messageOf } from '../../core/errors.js';
import { withLock, type ExpiringLocks } from '../../core/lock.js';
import type { Logger } from '../../core/logger.js';
import { jittered, wait } from '../../core/retry.js';
import type { DynamicAccountStore } from '../../store/accounts/dynamic-accounts.js';
import { gatewaysIn } from '../kubernetes-api/kubeconfig.js';
import type { Clouddriver, ClouddriverAccount } from './clouddriver.js';
import type { Definition, Definitions } from './definition.js';
import { accountOptions } from './options.js';

export interface MigrationOptions {
  readonly instanceId: string;
  readonly clouddriver: Pick<Clouddriver, 'pages'>;
  readonly accounts: Pick<DynamicAccountStore, 'create'>;
  readonly definitions: Definitions;
  readonly locks: ExpiringLocks;
  /** Regular expressions that match whole names. */
  readonly namePatterns: readonly string[];
  readonly batchSize: number;
  /** Time between two scans of the cluster, in ms. */
  readonly periodMs: number;
  /** Signals that there is something to do. */
  readonly migrated: () => void;
  readonly logger: Logger;
}

/** Ids end up in SQL keys, logs and paths, as those that agents register. */
const validName = /^[\w.:@/+=-]{1,253}$/u;

/** Runs until the signal aborts. */
export async function migrateAccounts(options: MigrationOptions, signal: AbortSignal): Promise<void> {
  const { instanceId, locks, periodMs, logger } = options;
  // Kept: the instance that scanned last keeps the others from scanning until the next scan is due.
  const lock = { locks, name: 'account-migration', holder: instanceId, ttlMs: periodMs, keep: true };
  for (;;) {
    try {
      await withLock(lock, signal, (held) => scan(options, held));
    } catch (error) {
      if (!signal.aborted)
        logger.warn({ error: messageOf(error) }, 'could not read accounts from Clouddriver; retrying');
    }
    await wait(jittered(periodMs, 0.1), signal).catch(() => undefined);
    if (signal.aborted) return;
  }
}

async function scan(options: MigrationOptions, signal: AbortSignal): Promise<void> {
  const { clouddriver, accounts, definitions, namePatterns, batchSize, migrated, logger } = options;
  const patterns = namePatterns.map((pattern) => new RegExp(`^(?:${pattern})$`, 'u'));
  const matches = ({ name }: ClouddriverAccount): boolean =>
    validName.test(name) && patterns.some((pattern) => pattern.test(name));
  for await (const page of clouddriver.pages(batchSize, signal)) {
    // Accounts that lead through gateways must not become accounts of agents, which would reach themselves.
    const own = page.filter(({ definition }) => gatewaysIn(definition['kubeconfigContents']) === undefined);
    const fresh = own.filter(matches).flatMap((account) => {
      try {
        const definition = definitions.seal(account.name, knownOptions(account), account.name);
        return [{ name: account.name, zoneId: '', definition, activate: true }];
      } catch (error) {
        logger.warn({ account: account.name, error: messageOf(error) }, 'Clouddriver account not migrated');
        return [];
      }
    });
    if (fresh.length === 0) continue;
    const present = await accounts.create(fresh, signal);
    if (present.length === fresh.length) continue;
    logger.info({ accounts: fresh.length - present.length }, 'Clouddriver accounts migrated');
    migrated();
  }
}

/** The options of a Clouddriver account that agents use. */
export function knownOptions({ definition }: ClouddriverAccount): Definition {
  const known = [...Object.keys(accountOptions), 'kubeconfigFile', 'kubeconfigContents', 'kubeconfigAgent'];
  return Object.fromEntries(
    known.flatMap((option) =>
      [[option, definition[option]] as const].filter(([, value]) => value !== undefined && value !== null),
    ),
  );
}
