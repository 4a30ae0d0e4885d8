/** The accounts that this agent serves: those of its configuration, and those that the gateway asked for. */

import { X509Certificate } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { create } from '@bufbuild/protobuf';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { unlessAborted, unlessLate, withDeadline } from '../core/deadline.js';
import type { Environment } from '../core/environment.js';
import { GatewayError, messageOf, TellableError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { backoffMs, wait } from '../core/retry.js';
import type { AccessLevel } from '../kubernetes/request-info.js';
import { AccountSchema, type Account, type DynamicAccount } from '../protocol/generated/ops/operations_pb.js';
import { accountSchema, type AccountConfiguration, type AgentConfiguration } from './configuration/schema.js';
import type { AccountDescription, DynamicAccountHandler } from './dynamic-accounts.js';
import type { RequestedAccount } from './kubernetes-api/open-requests.js';
import { Cluster } from './kubernetes/cluster.js';
import type { WatchedAccount } from './watching/account-watcher.js';

/** How long to wait for a cluster's version before the account is registered without it. */
const describeTimeoutMs = 5_000;
/** Time limit of one request for the version, including credentials, before the next attempt. */
const answerTimeoutMs = 60_000;
const askAgain = { initialMs: 5_000, maximumMs: 120_000, multiplier: 1.6, jitter: 0.2 };

type KubernetesConfiguration = AgentConfiguration['kubernetes'];

interface ServedAccount extends WatchedAccount, RequestedAccount {
  /** Absent: the gateway asked for it. */
  readonly configuration: AccountConfiguration | undefined;
  readonly closing: AbortController;
}

export interface ServedAccountsOptions {
  readonly logger: Logger;
  /** Environment of this process: proxies, and variables that credential plugins inherit. */
  readonly environment: Environment;
  /** Called for an account of the configuration once its cluster answers. */
  readonly onAnswer: (account: Account) => void;
}

export class ServedAccounts implements DynamicAccountHandler {
  readonly #accounts = new Map<string, ServedAccount>();
  readonly #options: ServedAccountsOptions;
  #kubernetes: KubernetesConfiguration;

  constructor(kubernetes: KubernetesConfiguration, options: ServedAccountsOptions) {
    this.#kubernetes = kubernetes;
    this.#options = options;
  }

  get size(): number {
    return this.#accounts.size;
  }

  get(name: string): (WatchedAccount & RequestedAccount) | undefined {
    return this.#accounts.get(name);
  }

  /**
   * Serves the accounts of the configuration from now on. An account whose cluster does not answer is served all the
   * same.
   * @returns the changes: an account in both lists was served with other settings before
   */
  async configure(
    kubernetes: KubernetesConfiguration,
    signal: AbortSignal,
  ): Promise<{ removed: string[]; added: Account[] }> {
    const shared = ({ accounts: _, ...rest }: KubernetesConfiguration) => rest;
    const same = isDeepStrictEqual(shared(kubernetes), shared(this.#kubernetes));
    this.#kubernetes = kubernetes;
    const wanted = new Map(kubernetes.accounts.map((account) => [account.name, account]));
    const removed: string[] = [];
    for (const [name, account] of this.#accounts) {
      const { configuration } = account;
      if (configuration === undefined || (same && isDeepStrictEqual(wanted.get(name), configuration))) continue;
      removed.push(name);
      this.#accounts.delete(name);
      void end(account);
    }
    const added = [...wanted.values()]
      .filter(({ name }) => !this.#accounts.has(name))
      .map((configuration) => {
        const account = this.#serve(configuration);
        this.#accounts.set(configuration.name, { ...account, configuration });
        return this.#describe(account, configuration);
      });
    return { removed, added: await unlessAborted(Promise.all(added), signal) };
  }

  /** @throws Error without anything of the kubeconfig */
  async add({ name, kubeconfig, kubeconfigFile, definition }: DynamicAccount): Promise<AccountDescription> {
    const options = optionsOf(definition);
    const account = this.#serve(
      Value.Default(accountSchema, {
        ...options,
        name,
        ...(kubeconfigFile === '' ? {} : { kubeConfigFile: kubeconfigFile }),
      }) as AccountConfiguration,
      kubeconfig.length === 0 ? undefined : Buffer.from(kubeconfig).toString('utf8'),
    );
    try {
      // An unreachable account is refused, with the reason.
      const description = await versionOf(account, describeTimeoutMs * 2);
      await this.remove(name);
      this.#accounts.set(name, { ...account, configuration: undefined });
      const { cluster, apiAccess } = account;
      return { ...description, namespaces: [...cluster.options.namespaces], properties: apiAccessProperty(apiAccess) };
    } catch (error) {
      await end(account);
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    const account = this.#accounts.get(name);
    this.#accounts.delete(name);
    if (account !== undefined) await end(account);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#accounts.values()].map(end));
    this.#accounts.clear();
  }

  #serve(account: AccountConfiguration, kubeconfig?: string): Omit<ServedAccount, 'configuration'> {
    const { noProxy, requestTimeoutMs, serverSideApply } = this.#kubernetes;
    const cluster = new Cluster({
      name: account.name,
      credentials: {
        kubeconfig,
        kubeconfigFile: account.kubeConfigFile,
        context: account.context,
        verifySsl: !account.insecure,
        proxy: !noProxy && !account.noProxy,
        environment: this.#options.environment,
        setting: 'kubernetes.accounts[].kubeConfigFile',
      },
      namespaces: account.namespaces,
      omitNamespaces: account.omitNamespaces,
      onlyNamespacedResources: account.onlyNamespacedResources,
      serverSideApply: serverSideApply.enabled,
      requestTimeoutMs,
    });
    const custom = account.kinds.length === 0 ? [] : account.customResourceDefinitions.map(({ kind }) => kind);
    return {
      cluster,
      closing: new AbortController(),
      apiAccess: account.apiAccess,
      cached: {
        kinds: [...account.kinds, ...custom],
        omitKinds: account.omitKinds,
        labelSelector: account.onlySpinnakerManaged ? 'app.kubernetes.io/managed-by=spinnaker' : '',
      },
    };
  }

  /** An account for registration: with its cluster's version, if the cluster answers soon. */
  async #describe(account: Asked, configuration: AccountConfiguration): Promise<Account> {
    const answer = versionOf(account, answerTimeoutMs);
    let reason = `no answer within ${String(describeTimeoutMs)} ms`;
    const description = await unlessLate(answer, describeTimeoutMs).catch((error: unknown) => {
      reason = messageOf(error);
      return undefined;
    });
    if (description === undefined && !account.closing.signal.aborted) {
      this.#options.logger.warn(
        { account: configuration.name, error: reason },
        'cluster does not answer yet; the account registers without its version',
      );
      void this.#join(account, configuration, answer).catch(() => undefined);
    }
    return accountOf(configuration, description ?? {});
  }

  /** Keeps asking until the cluster answers. @throws the signal's reason */
  async #join(account: Asked, configuration: AccountConfiguration, first: Promise<AccountDescription>): Promise<void> {
    const { signal } = account.closing;
    let description = await first.catch(() => undefined);
    for (let attempt = 0; description === undefined; attempt += 1) {
      await wait(backoffMs(askAgain, attempt), signal);
      description = await versionOf(account, answerTimeoutMs).catch(() => undefined);
    }
    signal.throwIfAborted();
    this.#options.logger.info({ account: configuration.name }, 'cluster answers');
    this.#options.onAnswer(accountOf(configuration, description));
  }
}

type Asked = Pick<ServedAccount, 'cluster' | 'closing'>;

function versionOf({ cluster, closing }: Asked, timeoutMs: number): Promise<AccountDescription> {
  return withDeadline(timeoutMs, closing.signal, 'the cluster', async (limit) => {
    const { server, ca } = await cluster.access.current(limit);
    const { gitVersion = '' } = (await cluster.client.get('/version', {}, limit)) as { gitVersion?: string };
    return { kubeHost: server, kubeVersion: gitVersion, certFingerprint: fingerprintOf(ca) };
  });
}

function end({ cluster, closing }: Asked): Promise<void> {
  closing.abort(new GatewayError('cancelled', 'the account is no longer served'));
  return cluster.close();
}

function accountOf(configuration: AccountConfiguration, description: AccountDescription): Account {
  return create(AccountSchema, { ...description, ...registered(configuration) });
}

function registered(account: AccountConfiguration) {
  const { name, namespaces, omitNamespaces, onlySpinnakerManaged, permissions, apiAccess } = account;
  const merged = permissionsOf(permissions);
  const properties = {
    ...(Object.keys(merged).length === 0 ? {} : { permissions: JSON.stringify(merged) }),
    ...(apiAccess === 'off' ? {} : clouddriverProperties({ omitNamespaces, onlySpinnakerManaged })),
    ...apiAccessProperty(apiAccess),
  };
  return { name, namespaces: [...namespaces], properties };
}

/** What the gateway tells Clouddriver of the account, beside its namespaces and permissions. */
function clouddriverProperties({
  omitNamespaces,
  onlySpinnakerManaged,
}: Pick<AccountConfiguration, 'omitNamespaces' | 'onlySpinnakerManaged'>): Record<string, string> {
  return {
    ...(omitNamespaces.length === 0 ? {} : { omitNamespaces: JSON.stringify(omitNamespaces) }),
    ...(onlySpinnakerManaged ? { onlySpinnakerManaged: 'true' } : {}),
  };
}

/** Tells the gateway and its callers what they may ask of the account's Kubernetes API. */
function apiAccessProperty(apiAccess: AccessLevel): Record<string, string> {
  return apiAccess === 'off' ? {} : { kubernetesApi: apiAccess };
}

/** Groups by authorization, as in Clouddriver; Armory's agent writes a list of these. */
function permissionsOf(written: AccountConfiguration['permissions']): Record<string, readonly string[]> {
  const parts = Array.isArray(written) ? written : [written];
  const merged: Record<string, readonly string[]> = {};
  for (const [authorization, groups] of parts.flatMap((part) => Object.entries(part))) {
    if (groups.length > 0) merged[authorization] = [...(merged[authorization] ?? []), ...groups];
  }
  return merged;
}

/** SHA-256 of the API server's CA certificate, which identifies a cluster. */
function fingerprintOf(ca: Buffer | string | undefined): string {
  try {
    return ca === undefined ? '' : new X509Certificate(ca).fingerprint256;
  } catch {
    return '';
  }
}

const dynamicOptions = Type.Object({
  apiAccess: Type.Optional(Type.Enum(['off', 'read', 'full'])),
  context: Type.Optional(Type.String()),
  insecure: Type.Optional(Type.Boolean()),
  namespaces: Type.Optional(Type.Array(Type.String())),
  omitNamespaces: Type.Optional(Type.Array(Type.String())),
  kinds: Type.Optional(Type.Array(Type.String())),
  omitKinds: Type.Optional(Type.Array(Type.String())),
  onlyNamespacedResources: Type.Optional(Type.Boolean()),
  onlySpinnakerManaged: Type.Optional(Type.Boolean()),
});

/** The options of `kubernetes.accounts[]` in a dynamic account's definition. @throws Error */
function optionsOf(definition: string): Type.Static<typeof dynamicOptions> {
  const value: unknown = definition === '' ? {} : definitionOf(definition);
  if (!Value.Check(dynamicOptions, value))
    throw new TellableError('the account definition has options of the wrong type');
  return Value.Clean(dynamicOptions, value) as Type.Static<typeof dynamicOptions>;
}

function definitionOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new TellableError('the account definition is not JSON', { cause: error });
  }
}
