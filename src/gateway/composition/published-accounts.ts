/** Of phase 2: the accounts that Spinnaker gets. */

import type { SpinnakerKubeconfigs } from '../spinnaker/kubeconfigs.js';
import { PublishedAccounts } from '../spinnaker/published-accounts.js';
import type { DynamicAccountParts } from './dynamic-accounts.js';
import type { StartContext } from './start-context.js';

/** @returns undefined: Spinnaker has no tokens, so it gets no accounts */
export function publishedAccounts(
  { config, now }: Pick<StartContext, 'config' | 'now'>,
  kubeconfigs: SpinnakerKubeconfigs | undefined,
  { routes }: Pick<DynamicAccountParts, 'routes'>,
): PublishedAccounts | undefined {
  if (kubeconfigs === undefined) return undefined;
  const { accounts, definitions } = routes;
  return new PublishedAccounts({
    accounts,
    definitions,
    kubeconfigs,
    now,
    ...config.spinnaker.accounts,
  });
}
