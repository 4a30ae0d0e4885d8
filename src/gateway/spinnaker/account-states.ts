/** Keeps and tells what became of accounts at Clouddriver. */

import type { Logger } from '../../core/logger.js';
import type { ClouddriverAccountRecord, ClouddriverState } from '../../store/accounts/clouddriver-account-record.js';
import type { ClouddriverAccountStore } from '../../store/accounts/clouddriver-accounts.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { AccountOutcome } from './account-writes.js';

export interface AccountStatesOptions {
  readonly states: Pick<ClouddriverAccountStore, 'write'>;
  /** Whether all accounts were looked at. */
  readonly complete: boolean;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'clouddriver'>;
}

const troubles: ReadonlySet<ClouddriverState> = new Set(['refused', 'conflict', 'invalid']);

/** Writes only what has changed, and logs a trouble once. */
export async function saveStates(
  { states, complete, logger, metrics }: AccountStatesOptions,
  before: readonly ClouddriverAccountRecord[],
  after: ReadonlyMap<string, AccountOutcome>,
  signal: AbortSignal,
): Promise<void> {
  const known = new Map(before.map((record) => [record.name, record]));
  const changed = [...after]
    .filter(([name, { state, message }]) => {
      const record = known.get(name);
      return record?.state !== state || record.message !== message;
    })
    .map(([name, outcome]) => ({ name, ...outcome }));
  const removed = complete ? before.map(({ name }) => name).filter((name) => !after.has(name)) : [];
  if (changed.length > 0 || removed.length > 0) await states.write(changed, removed, signal);
  for (const { name, state, message } of changed) {
    const fields = { account: name, state, reason: message };
    if (troubles.has(state)) logger.warn(fields, 'account cannot be registered in Clouddriver; see its reason');
    else if (message !== undefined && state === 'registered') logger.warn(fields, 'account registered in Clouddriver');
  }
  if (!complete) return;
  metrics.clouddriver.accounts.reset();
  for (const { state } of after.values()) metrics.clouddriver.accounts.inc({ state });
}
