/** Does Clouddriver take accounts, and does the gateway take the tokens that it gives Clouddriver? */

import { Agent, request } from 'undici';
import { listOf } from '../../gateway/accounts/clouddriver.js';
import { ClouddriverRequests, type ClouddriverAnswer } from '../../gateway/accounts/clouddriver-requests.js';
import { AccountTokens } from '../../gateway/auth/account-tokens.js';
import { openTokenSecrets } from '../../gateway/composition/account-tokens.js';
import { clouddriverAddress } from '../../gateway/composition/clouddriver-accounts.js';
import type { Config } from '../../gateway/config/config.js';
import { accountPath } from '../../gateway/kubernetes-api/path.js';
import { refusalOf } from '../../gateway/spinnaker/refusal.js';
import { readTls } from '../../gateway/tls/material.js';
import { trustAnchor } from '../../gateway/tls/trust-anchor.js';
import { connectionFailure } from '../../core/connection-failure.js';
import { firstNames } from '../../core/first-names.js';
import { examine, failed, ok, warning, type CheckOutcome, type Finding } from './finding.js';

/** Nothing if Spinnaker gets no accounts. */
export async function* examineSpinnaker(config: Config, signal: AbortSignal): AsyncGenerator<Finding> {
  if (config.spinnaker.tokens.secretFile === undefined) return;
  yield* examineClouddriver(config, signal);
  const remedy = 'Check kubesvc.kubernetesApi.publicUrl, and that this machine may reach it.';
  yield await examine('spinnaker token', remedy, signal, (limit) => tokenOutcome(config, limit));
}

async function* examineClouddriver(config: Config, signal: AbortSignal): AsyncGenerator<Finding> {
  const address = clouddriverAddress(config);
  if (address === undefined) return;
  let store: ClouddriverAnswer | undefined;
  const remedy = 'Check spinnaker.clouddriver.url and spinnaker.clouddriver.ssl, and that this machine may reach it.';
  const ask = async (path: string, limit: AbortSignal): Promise<ClouddriverAnswer> => {
    const requests = await ClouddriverRequests.open(address);
    try {
      return await requests.send({ path }, limit);
    } finally {
      void requests.close();
    }
  };
  yield await examine('clouddriver', remedy, signal, async (limit) => {
    store = await ask('/credentials/type/kubernetes?limit=1000000', limit);
    return reachedOutcome(store);
  });
  if (store === undefined || isDenied(store.status)) return;
  yield { check: 'clouddriver account store', ...storeOutcome(store) };
  if (store.status !== 200) return;
  const stored = namesIn(store.text);
  yield await examine('clouddriver poller', 'See the log of Clouddriver.', signal, async (limit) =>
    pollerOutcome(stored, namesIn((await ask('/credentials', limit)).text)),
  );
}

function reachedOutcome({ status, text }: ClouddriverAnswer): CheckOutcome {
  if (!isDenied(status)) return ok('it answers');
  return failed(
    refusalOf(status, text),
    'Check spinnaker.clouddriver.user and password, or token; with Fiat, spinnaker.clouddriver.spinnakerUser must be an admin.',
  );
}

export function storeOutcome({ status, text }: ClouddriverAnswer): CheckOutcome {
  if (status === 200) return ok('it is on');
  const found = refusalOf(status, text);
  const off = status === 404 || /AccountDefinition\w+ bean/u.test(text);
  if (!off) return failed(found, 'See the log of Clouddriver.');
  return failed(
    `it is off (${found})`,
    'Set sql.enabled, account.storage.enabled and account.storage.kubernetes.enabled of Clouddriver to true (Spinnaker 1.28 or later).',
  );
}

/** What is stored and not loaded shows a poller that is off; what is loaded may have been so since Clouddriver's start. */
export function pollerOutcome(stored: readonly string[], loaded: readonly string[]): CheckOutcome {
  if (stored.length === 0) return ok('cannot be seen yet: the account store has no account');
  const missing = stored.filter((name) => !loaded.includes(name));
  if (missing.length === 0)
    return ok(
      `${String(stored.length)} accounts of the store are loaded; those since Clouddriver's start show that it runs`,
    );
  const found = `${String(missing.length)} of ${String(stored.length)} accounts of the store are not loaded: ${firstNames(missing, 10)}`;
  const remedy =
    'Set credentials.poller.enabled: true and credentials.poller.types.kubernetes.reloadFrequencyMs of Clouddriver; for single accounts see its log. New accounts need some seconds.';
  return missing.length === stored.length ? failed(found, remedy) : warning(found, remedy);
}

/** Sends a token of no account: a gateway that takes tokens says that it has no such account, or may not be asked for it. */
async function tokenOutcome(config: Config, signal: AbortSignal): Promise<CheckOutcome> {
  const { publicUrl = '' } = config.kubesvc.kubernetesApi;
  const secrets = await openTokenSecrets(config);
  const { lifetimeSeconds } = config.spinnaker.tokens;
  const tokens = new AccountTokens({ secrets: () => secrets?.current ?? [], lifetimeSeconds, revokedAt: () => 0 });
  const account = 'agent-gateway-doctor';
  const { token } = await tokens.sign(account, Date.now());
  const { cert, ca: issuers } = (await readTls(config.server.ssl, 'server.ssl')) ?? {};
  const ca = cert === undefined ? undefined : trustAnchor({ cert, ca: issuers });
  const dispatcher = new Agent({ connect: { timeout: 5_000, ...(ca === undefined ? {} : { ca }) } });
  try {
    const url = `${publicUrl.replace(/\/+$/u, '')}${accountPath(account)}/version`;
    const options = { dispatcher, signal, headers: { authorization: `Bearer ${token}` } };
    const { statusCode, body } = await request(url, { ...options, headersTimeout: 8_000, bodyTimeout: 2_000 });
    await body.dump();
    if (statusCode !== 401) return ok(`${publicUrl} speaks TLS and takes a token that this configuration signs`);
    return failed(
      `${publicUrl} refuses a token that this configuration signs`,
      'Give all instances the same spinnaker.tokens.secretFile, and synchronise their clocks.',
    );
  } catch (error) {
    return notReached(publicUrl, error);
  } finally {
    await dispatcher.destroy();
  }
}

function notReached(publicUrl: string, error: unknown): CheckOutcome {
  const failure = connectionFailure(error);
  if (failure === undefined) throw error;
  const found = `${publicUrl}: ${failure.reason}`;
  if (/^(?:EPROTO|ERR_SSL_WRONG_VERSION_NUMBER)$/u.test(failure.code))
    return failed(
      `${found}: it does not speak TLS, and kubectl sends tokens only over TLS`,
      'Set server.ssl.enabled with a certificate, or end TLS in front of the gateway.',
    );
  if (failure.code === 'ECONNREFUSED')
    return warning(found, 'This is normal before the gateway runs; otherwise correct kubesvc.kubernetesApi.publicUrl.');
  return failed(
    found,
    'Clouddriver must reach it like this: check the name, the certificate and its CA, and the network.',
  );
}

function isDenied(status: number): boolean {
  return status === 401 || status === 403;
}

function namesIn(text: string): readonly string[] {
  return listOf(JSON.parse(text)).map(({ name }) => name);
}
