/** The accounts that this agent serves: of its configuration, and those that the gateway asked for. */

import { X509Certificate } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { create } from '@bufbuild/protobuf';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { messageOf, TellableError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { withDeadline } from '../core/deadline.js';
import { AccountSchema, type Account, type DynamicAccount } from '../protocol/generated/ops/operations_pb.js';
import { accountSchema, type AccountConfiguration, type AgentConfiguration } from './configuration/schema.js';
import type { AccountDescription, DynamicAccountHandler } from './dynamic-accounts.js';
import { Cluster } from './kubernetes/cluster.js';
import type { WatchedAccount } from './watching/account-watcher.js';

/** How long a cluster has to tell its version before the account is registered without. */
const describeTimeoutMs = 5_000;

type KubernetesConfiguration = AgentConfiguration['kubernetes'];

interface ServedAccount extends WatchedAccount {
  readonly configuration: AccountConfiguration | undefined;
}

export class ServedAccounts implements DynamicAccountHandler {
  readonly #accounts = new Map<string, ServedAccount>();
  readonly #logger: Logger;
  #kubernetes: KubernetesConfiguration;

  constructor(kubernetes: KubernetesConfiguration, logger: Logger) {
    this.#kubernetes = kubernetes;
    this.#logger = logger;
  }

  get size(): number {
    return this.#accounts.size;
  }

  get(name: string): WatchedAccount | undefined {
    return this.#accounts.get(name);
  }

  /**
   * Serves what the configuration says from now on.
   * @returns what changed: an account in both was served in another way before
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
    for (const [name, { configuration, cluster }] of this.#accounts) {
      if (configuration === undefined || (same && isDeepStrictEqual(wanted.get(name), configuration))) continue;
      removed.push(name);
      this.#accounts.delete(name);
      void cluster.close();
    }
    const added = await Promise.all(
      [...wanted.values()]
        .filter(({ name }) => !this.#accounts.has(name))
        .map(async (configuration) => {
          const account = this.#serve(configuration);
          this.#accounts.set(configuration.name, { ...account, configuration });
          return create(AccountSchema, {
            ...(await this.#describe(account.cluster, signal)),
            ...registered(configuration),
          });
        }),
    );
    return { removed, added };
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
      // An account that cannot be reached is refused, with the reason.
      await account.cluster.access.current();
      const description = await this.#version(account.cluster, AbortSignal.timeout(describeTimeoutMs * 2));
      await this.#accounts.get(name)?.cluster.close();
      this.#accounts.set(name, { ...account, configuration: undefined });
      return { ...description, namespaces: [...account.cluster.options.namespaces] };
    } catch (error) {
      await account.cluster.close();
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    const account = this.#accounts.get(name);
    this.#accounts.delete(name);
    await account?.cluster.close();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#accounts.values()].map(({ cluster }) => cluster.close()));
    this.#accounts.clear();
  }

  #serve(account: AccountConfiguration, kubeconfig?: string): WatchedAccount {
    const { noProxy, requestTimeoutMs, serverSideApply } = this.#kubernetes;
    const cluster = new Cluster({
      name: account.name,
      credentials: {
        kubeconfig,
        kubeconfigFile: account.kubeConfigFile,
        context: account.context,
        verifySsl: !account.insecure,
        proxy: !noProxy && !account.noProxy,
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
      cached: {
        kinds: [...account.kinds, ...custom],
        omitKinds: account.omitKinds,
        labelSelector: account.onlySpinnakerManaged ? 'app.kubernetes.io/managed-by=spinnaker' : '',
      },
    };
  }

  /** A cluster that does not answer now is served all the same. */
  async #describe(cluster: Cluster, signal: AbortSignal): Promise<AccountDescription> {
    try {
      return await withDeadline(describeTimeoutMs, signal, 'the cluster', (limit) => this.#version(cluster, limit));
    } catch (error) {
      signal.throwIfAborted();
      this.#logger.warn({ account: cluster.name, error: messageOf(error) }, 'the cluster does not answer yet');
      return {};
    }
  }

  async #version(cluster: Cluster, signal: AbortSignal): Promise<AccountDescription> {
    const { server, ca } = await cluster.access.current();
    const { gitVersion = '' } = (await cluster.client.get('/version', {}, signal)) as { gitVersion?: string };
    return { kubeHost: server, kubeVersion: gitVersion, certFingerprint: fingerprintOf(ca) };
  }
}

function registered({ name, namespaces, permissions }: AccountConfiguration) {
  const merged = permissionsOf(permissions);
  const properties = Object.keys(merged).length === 0 ? {} : { permissions: JSON.stringify(merged) };
  return { name, namespaces: [...namespaces], properties };
}

/** Groups by authorization, as Clouddriver has them; Armory's agent writes a list of such. */
function permissionsOf(written: AccountConfiguration['permissions']): Record<string, readonly string[]> {
  const parts = Array.isArray(written) ? written : [written];
  const merged: Record<string, readonly string[]> = {};
  for (const [authorization, groups] of parts.flatMap((part) => Object.entries(part))) {
    if (groups.length > 0) merged[authorization] = [...(merged[authorization] ?? []), ...groups];
  }
  return merged;
}

/** SHA-256 of the authority of the API server, which tells a cluster from others. */
function fingerprintOf(ca: Buffer | string | undefined): string {
  try {
    return ca === undefined ? '' : new X509Certificate(ca).fingerprint256;
  } catch {
    return '';
  }
}

const dynamicOptions = Type.Object({
  context: Type.Optional(Type.String()),
  insecure: Type.Optional(Type.Boolean()),
  namespaces: Type.Optional(Type.Array(Type.String())),
  omitNamespaces: Type.Optional(Type.Array(Type.String())),
  kinds: Type.Optional(Type.Array(Type.String())),
  omitKinds: Type.Optional(Type.Array(Type.String())),
  onlyNamespacedResources: Type.Optional(Type.Boolean()),
  onlySpinnakerManaged: Type.Optional(Type.Boolean()),
});

/** What a dynamic account's definition may say of `kubernetes.accounts[]`. @throws Error */
function optionsOf(definition: string): Type.Static<typeof dynamicOptions> {
  const value: unknown = definition === '' ? {} : definitionOf(definition);
  if (!Value.Check(dynamicOptions, value))
    throw new TellableError('the definition of the account has options of a wrong type');
  return Value.Clean(dynamicOptions, value) as Type.Static<typeof dynamicOptions>;
}

function definitionOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new TellableError('the definition of the account is not JSON', { cause: error });
  }
}
