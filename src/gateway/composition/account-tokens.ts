/** Of phase 1: tokens that are good for the Kubernetes API of one account. */

import { parseSharedSecrets, type SharedSecrets } from '../../core/shared-secrets.js';
import type { Logger } from '../../core/logger.js';
import type { TokenRevocationStore } from '../../store/accounts/token-revocations.js';
import { AccountTokens } from '../auth/account-tokens.js';
import { ReloadedFile } from '../auth/reloaded-file.js';
import type { Config } from '../config/config.js';
import { SpinnakerKubeconfigs } from '../spinnaker/kubeconfigs.js';
import { TokenRevocations } from '../spinnaker/token-revocations.js';
import type { TlsToPeers } from './security.js';

export interface AccountTokenParts {
  readonly tokens: AccountTokens;
  readonly revocations: TokenRevocations;
  readonly secrets: () => SharedSecrets;
  /** Follows the file of secrets and the revocations until the signal aborts. */
  run(logger: Logger, signal: AbortSignal): Promise<void>;
}

/** @throws GatewayError `configuration` naming the setting */
export function openTokenSecrets({ spinnaker }: Config): Promise<ReloadedFile<SharedSecrets> | undefined> {
  const { secretFile } = spinnaker.tokens;
  if (secretFile === undefined) return Promise.resolve(undefined);
  return ReloadedFile.open('spinnaker.tokens.secretFile', secretFile, parseSharedSecrets);
}

/**
 * @returns undefined: there are no such tokens
 * @throws GatewayError `configuration` naming the setting; `dependency-unavailable`
 */
export async function openAccountTokens(
  config: Config,
  store: TokenRevocationStore,
  signal: AbortSignal,
): Promise<AccountTokenParts | undefined> {
  const secrets = await openTokenSecrets(config);
  if (secrets === undefined) return undefined;
  const revocations = new TokenRevocations(store);
  await revocations.read(signal);
  const tokens = new AccountTokens({
    secrets: () => secrets.current,
    lifetimeSeconds: config.spinnaker.tokens.lifetimeSeconds,
    revokedAt: (account) => revocations.of(account),
  });
  return {
    tokens,
    revocations,
    secrets: () => secrets.current,
    run: async (logger, at) => {
      await Promise.all([secrets.run(logger, at), revocations.run(logger, at)]);
    },
  };
}

/** What gives Clouddriver kubeconfigs with tokens; undefined if there are no tokens. */
export function spinnakerKubeconfigs(
  { kubesvc, spinnaker }: Config,
  accountTokens: AccountTokenParts | undefined,
  tlsToPeers: TlsToPeers,
): SpinnakerKubeconfigs | undefined {
  const { publicUrl } = kubesvc.kubernetesApi;
  if (accountTokens === undefined || publicUrl === undefined) return undefined;
  const certificateAuthority = (): string | undefined => tlsToPeers.certificateAuthority;
  const { tokens } = accountTokens;
  return new SpinnakerKubeconfigs({ tokens, publicUrl, gateways: spinnaker.gateways, certificateAuthority });
}
