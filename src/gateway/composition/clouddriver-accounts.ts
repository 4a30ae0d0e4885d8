/** Puts together what keeps the accounts of Spinnaker's Clouddriver. */

import type { ClouddriverAddress } from '../accounts/clouddriver-requests.js';
import type { Config } from '../config/config.js';
import { keepClouddriverAccounts } from '../spinnaker/clouddriver-accounts.js';
import type { Domain } from './assemble.js';
import type { Dependencies } from './connect.js';
import type { StartContext } from './start-context.js';

/** From the settings. @returns undefined: there is no Clouddriver to write to */
export function clouddriverAddress({ spinnaker, instance }: Config): ClouddriverAddress | undefined {
  const { url, user, password, token, spinnakerUser, ssl } = spinnaker.clouddriver;
  if (url === undefined) return undefined;
  const field = 'spinnaker.clouddriver.url';
  return { url, field, user, password, token, spinnakerUser, userAgent: `agent-gateway (${instance.id})`, ssl };
}

/** Starts the loop, if there is a Clouddriver to write to. */
export function startClouddriverAccounts(
  { config, logger, lifetime }: StartContext,
  { stores, metrics }: Dependencies,
  { publishedAccounts: published }: Pick<Domain, 'publishedAccounts'>,
): void {
  const address = clouddriverAddress(config);
  if (address === undefined || published === undefined) return;
  const { spinnaker, kubesvc, instance } = config;
  const options = {
    instanceId: instance.id,
    published,
    address,
    states: stores.clouddriverAccounts,
    locks: stores.locks,
    lockMs: kubesvc.instances.leaseMs,
    gateways: spinnaker.gateways,
    pollMs: spinnaker.clouddriver.pollSeconds * 1_000,
    cleanUpMs: kubesvc.cache.accountCleanupFrequencySeconds * 1_000,
    logger,
    metrics,
  };
  lifetime.background('accounts of Clouddriver', (at) => keepClouddriverAccounts(options, at));
}
