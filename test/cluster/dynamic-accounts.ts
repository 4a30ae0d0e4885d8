/** What tests of dynamic accounts on a cluster do again and again. */

import type { Test } from 'tap';
import { startSimulatedAgents, type SimulatedAgents, type SimulatedAgentsOptions } from '../../src/simulate/agents.js';
import { waitFor } from '../wait.js';
import type { Replica } from './replica.js';

export const accountsPath = '/armory/accounts';

const fastBackoff = { backoff: { initialMs: 100, maximumMs: 1_000, multiplier: 1.6, jitter: 0.2 } };

export interface Account {
  readonly status: string;
  readonly zoneId: string;
  readonly failedCount: number;
  readonly errorMessage?: string;
  readonly agents: readonly { readonly agentId: string; readonly clouddriverId: string }[];
}

/** @returns the status */
export async function send(replica: Replica, method: string, path: string, body?: unknown): Promise<number> {
  const response = await fetch(replica.restUrl + path, {
    method,
    signal: AbortSignal.timeout(120_000),
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  await response.text();
  return response.status;
}

/** Waits for an account to be as expected, as the replica answers. */
export async function reaches(
  replica: Replica,
  name: string,
  expected: (account: Account) => boolean,
): Promise<Account> {
  let last: unknown;
  return waitFor(
    async () => {
      const account = (await replica.get(`${accountsPath}/${name}`)) as Account;
      last = account;
      return expected(account) ? account : undefined;
    },
    { timeoutMs: 40_000, intervalMs: 50, description: `${name} to change` },
  ).catch((error: unknown) => {
    throw new Error(`${name}: ${JSON.stringify(last)}`, { cause: error });
  });
}

/** One agent without accounts of its own, connected; stopped at the test's teardown. */
export async function dynamicAgents(
  t: Test,
  options: Pick<SimulatedAgentsOptions, 'addresses'> & Partial<SimulatedAgentsOptions>,
): Promise<SimulatedAgents> {
  const started = await startSimulatedAgents({
    ...{ agents: 1, accounts: 0, zoneId: 'zone', limits: fastBackoff, dynamic: {} },
    ...options,
  });
  t.teardown(() => started.stop());
  await started.ready(AbortSignal.timeout(120_000));
  return started;
}

/** Settings of a cluster that serves them. */
export const dynamicSettings = {
  'kubesvc.dynamicAccounts.enabled': 'true',
  'kubesvc.dynamicAccounts.retryFrequencySeconds': 1,
};

/** Adds an account that needs no kubeconfig. @returns the status */
export function addAccount(replica: Replica, name: string, zoneId?: string): Promise<number> {
  const zone = zoneId === undefined ? {} : { zoneId };
  return send(replica, 'POST', `${accountsPath}/dynamic`, { name, serviceAccount: true, ...zone });
}

/** @returns the status */
export function patchAccount(replica: Replica, name: string, state: 'ACTIVE' | 'INACTIVE'): Promise<number> {
  return send(replica, 'PATCH', accountsPath, [{ name, state }]);
}
