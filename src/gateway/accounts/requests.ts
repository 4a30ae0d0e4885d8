/**
 * Callers' requests for dynamic accounts: checks and stores them, and leaves the rest to the reconcilers of all
 * instances.
 */

import { GatewayError } from '../../core/errors.js';
import { firstNames } from '../../core/first-names.js';
import type { AccountRecord } from '../../store/accounts/account-record.js';
import type { AccountChange, ChangeResult, DynamicAccountStore } from '../../store/accounts/dynamic-accounts.js';
import type { Clouddriver } from './clouddriver.js';
import type { Definition, Definitions } from './definition.js';
import { knownOptions } from './migration.js';

/** Armory's AddAgentAccountRequest. */
export interface AddAccountRequest {
  readonly name: string;
  readonly state?: 'ACTIVE' | 'INACTIVE';
  readonly zoneId?: string;
  readonly kubeconfigFile?: string;
}

export interface AccountDefinition {
  readonly name: string;
  readonly zoneId: string | undefined;
  readonly options: Definition;
}

export interface AccountRequestsOptions {
  readonly accounts: Pick<DynamicAccountStore, 'create' | 'change'>;
  readonly definitions: Definitions;
  /** Undefined: none is configured. */
  readonly clouddriver: Pick<Clouddriver, 'find'> | undefined;
  /** Wakes the reconciler: there is something to do. */
  readonly wake: () => void;
}

export class AccountRequests {
  readonly #options: AccountRequestsOptions;

  constructor(options: AccountRequestsOptions) {
    this.#options = options;
  }

  /**
   * Adds accounts by their definitions, inactive.
   * @returns accounts that already exist, which are left unchanged
   * @throws GatewayError `invalid-argument` naming the field; then nothing was added
   */
  add(definitions: readonly AccountDefinition[], signal: AbortSignal): Promise<readonly AccountRecord[]> {
    checkNames(definitions.map(({ name }) => name));
    const sealed = definitions.map(({ name, zoneId = '', options }, index) => {
      const field = `body.${String(index)}`;
      requireKubeconfig(options, field);
      return { name, zoneId, definition: this.#options.definitions.seal(name, options, field), activate: false };
    });
    return this.#options.accounts.create(sealed, signal);
  }

  /**
   * Adds accounts of a Clouddriver, or with a kubeconfig of the request's; activates them if requested.
   * @returns as add()
   * @throws as add(); `dependency-unavailable` if Clouddriver is needed and does not answer
   */
  async migrate(requests: readonly AddAccountRequest[], signal: AbortSignal): Promise<readonly AccountRecord[]> {
    const { accounts, definitions, wake } = this.#options;
    checkNames(requests.map(({ name }) => name));
    const fresh = [];
    for (const [index, { name, zoneId = '', kubeconfigFile, state }] of requests.entries()) {
      const field = `body.${String(index)}`;
      const options =
        kubeconfigFile === undefined ? await this.#fromClouddriver(name, field, signal) : { kubeconfigFile };
      const definition = definitions.seal(name, options, field);
      fresh.push({ name, zoneId, definition, activate: state === 'ACTIVE' });
    }
    const present = await accounts.create(fresh, signal);
    wake();
    return present;
  }

  /**
   * Activates, deactivates or moves accounts, or gives them another kubeconfig.
   * @throws GatewayError `unknown-account`, `account-conflict`: the other accounts were changed; `invalid-argument`:
   *   none was
   */
  async change(requests: readonly AddAccountRequest[], signal: AbortSignal): Promise<void> {
    checkNames(requests.map(({ name }) => name));
    const changes = requests.map(({ name, state, zoneId, kubeconfigFile }, index): AccountChange => {
      const field = `body.${String(index)}`;
      return {
        name,
        zoneId,
        request: state === undefined ? undefined : state === 'ACTIVE' ? 'activate' : 'deactivate',
        edit:
          kubeconfigFile === undefined ? undefined : this.#options.definitions.change(name, { kubeconfigFile }, field),
      };
    });
    await this.#apply(changes, signal);
  }

  /** Replaces the definition of an account; agents that serve it get the new one. @throws as change() */
  async replace({ name, zoneId, options }: AccountDefinition, signal: AbortSignal): Promise<void> {
    requireKubeconfig(options, 'body');
    const definition = this.#options.definitions.seal(name, options, 'body');
    await this.#apply([{ name, zoneId, edit: () => definition }], signal);
  }

  /** Takes accounts from the agents that serve them, and then deletes them. @throws as change() */
  async remove(names: readonly string[], signal: AbortSignal): Promise<void> {
    checkNames(names);
    await this.#apply(
      names.map((name) => ({ name, request: 'delete' })),
      signal,
    );
  }

  async #fromClouddriver(name: string, field: string, signal: AbortSignal): Promise<Definition> {
    const { clouddriver } = this.#options;
    if (clouddriver === undefined) {
      throw new GatewayError(
        'invalid-argument',
        `${field}.kubeconfigFile: missing; set kubesvc.dynamicAccounts.clouddriverUrl to take the account from Clouddriver`,
        { field: `${field}.kubeconfigFile`, account: name },
      );
    }
    const account = await clouddriver.find(name, signal);
    if (account === undefined) {
      throw new GatewayError('invalid-argument', `${field}.name: Clouddriver has no account "${name}"`, {
        field: `${field}.name`,
        account: name,
      });
    }
    return knownOptions(account);
  }

  async #apply(changes: readonly AccountChange[], signal: AbortSignal): Promise<void> {
    const results = await this.#options.accounts.change(changes, signal);
    this.#options.wake();
    const unknown = results.filter(({ outcome }) => outcome === 'unknown');
    if (unknown.length > 0) throw failed('unknown-account', unknown, results, 'not known');
    const own = results.filter(({ outcome }) => outcome === 'not-dynamic');
    if (own.length > 0) throw failed('account-conflict', own, results, "not dynamic, but an agent's own");
    const refused = results.filter(({ outcome }) => outcome === 'refused');
    if (refused.length > 0) throw failed('account-conflict', refused, results, 'being deleted');
  }
}

function failed(
  code: 'unknown-account' | 'account-conflict',
  which: readonly ChangeResult[],
  all: readonly ChangeResult[],
  what: string,
): GatewayError {
  const names = which.map(({ name }) => `"${name}"`);
  const accepted = all.filter(({ outcome }) => outcome === 'accepted').length;
  const rest = accepted === 0 ? '' : `; the other ${String(accepted)} were accepted`;
  const message = `${which.length === 1 ? 'account' : 'accounts'} ${firstNames(names, 20)}: ${what}${rest}`;
  return new GatewayError(code, message, { account: which[0]?.name ?? '' });
}

function requireKubeconfig(options: Definition, field: string): void {
  const given = ['kubeconfigContents', 'kubeconfigFile', 'kubeconfigAgent'].some((option) => option in options);
  if (given || options['serviceAccount'] === true) return;
  throw new GatewayError(
    'invalid-argument',
    `${field}: expected one of kubeconfigContents, kubeconfigFile and serviceAccount: true`,
    { field },
  );
}

function checkNames(names: readonly string[]): void {
  const seen = new Set<string>();
  for (const [index, name] of names.entries()) {
    const field = `body.${String(index)}`;
    if (seen.has(name)) {
      throw new GatewayError('invalid-argument', `${field}: account "${name}" is named twice`, {
        field,
        account: name,
      });
    }
    seen.add(name);
  }
}
