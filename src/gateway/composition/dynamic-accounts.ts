/** Puts together what dynamic accounts consist of, for the composition root. */

import type { Logger } from '../../core/logger.js';
import { AccountStore } from '../../store/accounts/accounts.js';
import { AccountTurns } from '../../store/accounts/account-turns.js';
import type { Database } from '../../store/sql/database.js';
import { DynamicAccountStore } from '../../store/accounts/dynamic-accounts.js';
import type { LockStore } from '../../store/instances/locks.js';
import { Clouddriver } from '../accounts/clouddriver.js';
import { Definitions } from '../accounts/definition.js';
import { environmentProvider, fileProvider, kubernetesProvider } from '../accounts/kubeconfig/providers.js';
import { Sealer } from '../accounts/kubeconfig/sealer.js';
import { migrateAccounts } from '../accounts/migration.js';
import { Reconciler } from '../accounts/reconciler.js';
import { AccountRequests } from '../accounts/requests.js';
import type { OwnershipService } from '../agents/ownership.js';
import type { Registry } from '../agents/registry.js';
import type { SessionFrames } from '../agents/session-frames.js';
import type { Config } from '../config/config.js';
import type { DynamicAccountRoutesOptions } from '../rest/accounts.js';
import type { Metrics } from '../telemetry/metrics.js';

export interface DynamicAccountsParts {
  readonly config: Config;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly database: Database;
  readonly locks: LockStore;
  readonly registry: Registry;
  readonly frames: SessionFrames;
  readonly ownership: OwnershipService;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface DynamicAccountParts {
  readonly routes: DynamicAccountRoutesOptions;
  /** To run until the gateway stops, by name. */
  readonly loops: ReadonlyMap<string, (signal: AbortSignal) => Promise<void>>;
  /** Gives back what an instance that is dead, or that was this one before, had claimed. */
  readonly releaseClaims: (instanceId: string, signal: AbortSignal) => Promise<void>;
}

const pollMs = 1_000;
const refreshTimeoutMs = 30_000;
/** For reading the kubeconfig and for writing, beside the two times that agents may have in one turn. */
const claimMarginMs = 30_000;

export function createDynamicAccounts(parts: DynamicAccountsParts): DynamicAccountParts {
  const { config, environment, database, locks, registry, frames, ownership, logger, metrics } = parts;
  const { dynamicAccounts: options, instances, grpc } = config.kubesvc;
  const instanceId = config.instance.id;
  const { leaseMs } = instances;
  const { agentTimeoutMs, maxRetries, retryFrequencySeconds } = options;
  const accounts = new AccountStore(database);
  const store = new DynamicAccountStore(database, { leaseMs });
  const turns = new AccountTurns(database, {
    instanceId,
    leaseMs,
    maxRetries,
    claimMs: agentTimeoutMs * 2 + claimMarginMs,
    retryMs: retryFrequencySeconds * 1_000,
  });
  const definitions = new Definitions(new Sealer(options.encryptionKey), {
    file: fileProvider(options.kubeconfigDirectory),
    env: environmentProvider(environment),
    k8s: kubernetesProvider(async (secret, signal) => {
      const { readSecret } = await import('../../discovery/kubernetes/secrets.js');
      return readSecret({ ...config.kubesvc['cluster-kubernetes'], environment }, secret, signal);
    }),
  });
  const releaseClaims = (id: string, signal: AbortSignal): Promise<void> => turns.release(id, signal);
  if (!options.enabled)
    return { routes: { accounts, store, definitions, requests: undefined }, loops: new Map(), releaseClaims };

  const { clouddriverUrl: url } = options;
  const field = 'kubesvc.dynamicAccounts.clouddriverUrl';
  const clouddriver = url === undefined ? undefined : new Clouddriver({ url, field });
  const reconciler = new Reconciler({
    instanceId,
    turns,
    frames,
    definitions,
    agentTimeoutMs,
    pollMs,
    logger,
    metrics,
    removed: (account) => {
      // Finds it gone, and tells the mirrors.
      ownership.refresh(account, AbortSignal.timeout(refreshTimeoutMs)).catch(() => undefined);
    },
    sessions: () => registry.sessions,
    maxAccountsPerAgent: grpc.server.maxAccountsPerAgent,
  });
  const wake = (): void => {
    reconciler.wake();
  };
  const loops = new Map([['dynamic accounts', (signal: AbortSignal) => reconciler.run(signal)]]);
  if (clouddriver !== undefined && options.namePatterns.length > 0) {
    const { namePatterns, scanBatchSize: batchSize, scanFrequencySeconds } = options;
    const migration = {
      instanceId,
      clouddriver,
      definitions,
      locks,
      namePatterns,
      batchSize,
      logger,
      accounts: store,
      periodMs: scanFrequencySeconds * 1_000,
      migrated: wake,
    };
    loops.set('account migration', (signal) => migrateAccounts(migration, signal));
  }
  const requests = new AccountRequests({ accounts: store, definitions, clouddriver, wake });
  return { routes: { accounts, store, definitions, requests }, loops, releaseClaims };
}
