/**
 * The accounts that the gateway asked this agent to serve. They live as long as the process: a new connection registers
 * them again, and the gateway says which of them to stop serving.
 */

import { create } from '@bufbuild/protobuf';
import { isUnexpected, reasonFor } from '../core/connection-failure.js';
import { TellableError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import {
  AccountSchema,
  AccountsAddedSchema,
  AccountsRemovedSchema,
  type Account,
  type AgentMessage,
  type DynamicAccount,
} from '../protocol/generated/ops/operations_pb.js';

/** The known properties of an account's cluster. */
export type AccountDescription = Partial<
  Pick<Account, 'kubeHost' | 'kubeVersion' | 'certFingerprint' | 'maxWatchAgeSeconds' | 'namespaces' | 'properties'>
>;

export interface DynamicAccountHandler {
  /**
   * Starts to serve an account, or changes to a newer definition.
   * @throws TellableError whose message is shown to operators, so it must not quote the kubeconfig; for other errors
   *   they are told only to look in the log
   */
  add(account: DynamicAccount): Promise<AccountDescription>;
  /** @throws as add(); the account is still served */
  remove(name: string): Promise<void>;
}

type Send = (message: AgentMessage['message']) => void;

export class DynamicAccounts {
  readonly #handler: DynamicAccountHandler | undefined;
  /** Whether the agent's own configuration has the account. */
  readonly #isOwn: (name: string) => boolean;
  readonly #send: Send;
  readonly #logger: Logger;
  readonly #served = new Map<string, Account>();
  /** The work on each account, one task after the other. */
  readonly #queues = new Map<string, Promise<void>>();

  constructor(
    handler: DynamicAccountHandler | undefined,
    isOwn: (name: string) => boolean,
    send: Send,
    logger: Logger,
  ) {
    this.#handler = handler;
    this.#isOwn = isOwn;
    this.#send = send;
    this.#logger = logger;
  }

  get accounts(): readonly Account[] {
    return [...this.#served.values()];
  }

  /** Serves the accounts, and tells the gateway of each. */
  add(accounts: readonly DynamicAccount[]): void {
    for (const account of accounts) this.#enqueue(account.name, () => this.#add(account));
  }

  /** Stops serving the accounts, and tells the gateway of each. */
  remove(names: readonly string[]): void {
    for (const name of names) this.#enqueue(name, () => this.#remove(name));
  }

  async #add(request: DynamicAccount): Promise<void> {
    const { name, version } = request;
    try {
      if (this.#handler === undefined) throw new TellableError('this agent does not take dynamic accounts');
      if (this.#isOwn(name)) throw new TellableError(`the agent's own configuration already has an account "${name}"`);
      const description = await this.#handler.add(request);
      const account = create(AccountSchema, { ...description, name, dynamicVersion: version });
      this.#served.set(name, account);
      this.#send({ case: 'accountsAdded', value: create(AccountsAddedSchema, { accounts: [account] }) });
    } catch (error) {
      const failures = [{ name, version, message: this.#reasonFor(name, error) }];
      this.#send({ case: 'accountsAdded', value: create(AccountsAddedSchema, { failures }) });
    }
  }

  async #remove(name: string): Promise<void> {
    try {
      if (this.#isOwn(name)) throw new TellableError(`account "${name}" is in the agent's own configuration`);
      if (this.#served.has(name)) await this.#handler?.remove(name);
      this.#served.delete(name);
      this.#sendRemoved([name]);
    } catch (error) {
      const failures = [{ name, message: this.#reasonFor(name, error) }];
      this.#send({ case: 'accountsRemoved', value: create(AccountsRemovedSchema, { failures }) });
    }
  }

  #reasonFor(account: string, thrown: unknown): string {
    if (!isUnexpected(thrown)) return reasonFor(thrown);
    this.#logger.error({ account, error: thrown }, 'unexpected error in a dynamic account; refusing it');
    return `internal error of the agent; see its log for account "${account}"`;
  }

  #sendRemoved(names: readonly string[]): void {
    this.#send({ case: 'accountsRemoved', value: create(AccountsRemovedSchema, { names: [...names] }) });
  }

  #enqueue(name: string, task: () => Promise<void>): void {
    const queue = (this.#queues.get(name) ?? Promise.resolve()).then(task);
    this.#queues.set(name, queue);
    void queue.finally(() => {
      if (this.#queues.get(name) === queue) this.#queues.delete(name);
    });
  }
}
