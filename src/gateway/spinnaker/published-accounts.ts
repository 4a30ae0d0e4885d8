/**
 * The accounts that Spinnaker gets, and what its Clouddrivers are told of them: those whose Kubernetes API agents serve, and
 * that `spinnaker.accounts` selects. Clouddriver's account management (clouddriver-accounts.ts) and Spring Cloud Config
 * have the same list.
 */

import { TellableError } from '../../core/errors.js';
import type { AccountRecord } from '../../store/accounts/account-record.js';
import type { AccountStore } from '../../store/accounts/accounts.js';
import type { Definitions } from '../accounts/definition.js';
import { describedAccount, type AccountOfSpinnaker } from './described-account.js';

/** An account as Clouddriver gets it. `kubeconfigContents` is a secret. */
export interface PublishedAccount extends AccountOfSpinnaker {
  readonly name: string;
  /** YAML with a token: the same on all instances, until the token is renewed. */
  readonly kubeconfigContents: string;
  /**
   * An agent serves it, and its cluster has answered that agent. Clouddriver never caches an account that does not answer
   * when it is registered: never register one first that is false here.
   */
  readonly answering: boolean;
  /** When an agent of it last came or went, Unix ms by the clock of the database. */
  readonly lastSeenAt: number;
}

/** Selected, but Clouddriver cannot have it. */
export interface UnpublishedAccount {
  readonly name: string;
  /** What is wrong and what to do. */
  readonly problem: string;
}

export interface PublishedAccountList {
  /** In the order of names. */
  readonly accounts: readonly PublishedAccount[];
  readonly unpublished: readonly UnpublishedAccount[];
}

export interface PublishedAccountsOptions {
  readonly accounts: Pick<AccountStore, 'list'>;
  readonly definitions: Pick<Definitions, 'masked'>;
  readonly kubeconfigs: {
    contentsFor(account: string, now: number): Promise<{ readonly contents: string }>;
  };
  /** Regular expressions that match whole names; empty: all. */
  readonly namePatterns: readonly string[];
  /** Empty: all. */
  readonly zones: readonly string[];
  /** Wall clock, Unix ms. */
  readonly now: () => number;
}

const pageSize = 1_000;

export class PublishedAccounts {
  readonly #options: PublishedAccountsOptions;
  readonly #patterns: readonly RegExp[];
  readonly #zones: ReadonlySet<string>;

  constructor(options: PublishedAccountsOptions) {
    this.#options = options;
    this.#patterns = options.namePatterns.map((pattern) => new RegExp(`^(?:${pattern})$`, 'u'));
    this.#zones = new Set(options.zones);
  }

  /**
   * Reads them from the database, which alone knows all accounts: what it gives is complete.
   * @throws GatewayError `dependency-unavailable`
   */
  async list(signal: AbortSignal): Promise<PublishedAccountList> {
    const { accounts: store } = this.#options;
    const accounts: PublishedAccount[] = [];
    const unpublished: UnpublishedAccount[] = [];
    for (let after: string | undefined = ''; after !== undefined;) {
      const page: readonly AccountRecord[] = await store.list(after, pageSize, signal);
      for (const record of page.filter((each) => this.#selects(each))) {
        const described = this.#described(record);
        if (typeof described === 'string') unpublished.push({ name: record.name, problem: described });
        else accounts.push(await this.#published(record, described));
      }
      after = page.length < pageSize ? undefined : page.at(-1)?.name;
    }
    return { accounts, unpublished };
  }

  #selects({ name, zoneId, properties }: AccountRecord): boolean {
    const access = properties['kubernetesApi'];
    return (
      (access === 'read' || access === 'full') &&
      (this.#patterns.length === 0 || this.#patterns.some((pattern) => pattern.test(name))) &&
      (this.#zones.size === 0 || this.#zones.has(zoneId))
    );
  }

  /** @returns a text: what cannot be honoured */
  #described(record: AccountRecord): AccountOfSpinnaker | string {
    const definition = record.definition === undefined ? {} : this.#options.definitions.masked(record.definition);
    try {
      return describedAccount(record, definition);
    } catch (error) {
      if (error instanceof TellableError) return error.message;
      throw error;
    }
  }

  async #published(record: AccountRecord, described: AccountOfSpinnaker): Promise<PublishedAccount> {
    const { kubeconfigs, now } = this.#options;
    const { name, connections, kubeVersion, lastUpdated } = record;
    const { contents } = await kubeconfigs.contentsFor(name, now());
    return {
      ...described,
      name,
      kubeconfigContents: contents,
      // Agents name the version once the API server has told it.
      answering: connections > 0 && kubeVersion !== '',
      lastSeenAt: lastUpdated,
    };
  }
}
