/**
 * The accounts that Spinnaker gets, as Spring Cloud Config takes them. Spring binds all of them or none, and replaces what looks
 * like a placeholder: so an account that it would not take as it is stays out, and is told.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import type { Logger } from '../../core/logger.js';
import { definitionOf } from './account-definition.js';
import { accountsPerTurn, flatOptions, type AccountOptions } from './config-environment.js';
import type { PublishedAccount, PublishedAccounts } from './published-accounts.js';

export interface ConfigAccountsOptions {
  readonly published: Pick<PublishedAccounts, 'list'>;
  readonly logger: Logger;
}

const texts = Type.Array(Type.String());
const records = Type.Array(Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])));

/** The types of KubernetesAccountProperties.ManagedAccount in spinnaker/clouddriver. */
const schema = Type.Object(
  {
    name: Type.String(),
    kubeconfigContents: Type.String(),
    namespaces: texts,
    omitNamespaces: Type.Optional(texts),
    permissions: Type.Object(
      {
        READ: Type.Optional(texts),
        WRITE: Type.Optional(texts),
        EXECUTE: Type.Optional(texts),
        CREATE: Type.Optional(texts),
      },
      { additionalProperties: false },
    ),
    checkPermissionsOnStartup: Type.Literal(false),
    kubectlRequestTimeoutSeconds: Type.Integer(),
    accountType: Type.Optional(Type.String()),
    cacheAllApplicationRelationships: Type.Optional(Type.Boolean()),
    cacheIntervalSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 })),
    cacheThreads: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
    cachingPolicies: Type.Optional(records),
    customResources: Type.Optional(records),
    debug: Type.Optional(Type.Boolean()),
    environment: Type.Optional(Type.String()),
    metrics: Type.Optional(Type.Boolean()),
    onlySpinnakerManaged: Type.Optional(Type.Boolean()),
    rawResourcesEndpointConfig: Type.Optional(
      Type.Object(
        { kindExpressions: Type.Optional(texts), omitKindExpressions: Type.Optional(texts) },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);

const validator = Compile(schema);

/** A placeholder, an expression, or a reference to a secret: agents must not read Clouddriver's secrets by naming them. */
const replaced = /[$#]\{|^encrypted(?:File)?:|^\{cipher\}/u;

export class ConfigAccounts {
  readonly #options: ConfigAccountsOptions;
  /** What is wrong with the accounts that stay out, as logged. */
  #problems: ReadonlyMap<string, string> = new Map();

  constructor(options: ConfigAccountsOptions) {
    this.#options = options;
  }

  /** In the order of names; the same on all instances. Holds secrets. @throws GatewayError `dependency-unavailable` */
  async list(signal: AbortSignal): Promise<readonly AccountOptions[]> {
    const { accounts } = await this.#options.published.list(signal);
    const problems = new Map<string, string>();
    const taken: AccountOptions[] = [];
    for (const [index, account] of accounts.entries()) {
      const answer = configAccount(account);
      if (typeof answer === 'string') problems.set(account.name, answer);
      else taken.push(answer);
      if (index % accountsPerTurn === accountsPerTurn - 1) await nextTurn(undefined, { signal });
    }
    for (const [account, problem] of problems)
      if (this.#problems.get(account) !== problem)
        this.#options.logger.warn({ account, error: problem }, 'account left out for Spring Cloud Config');
    this.#problems = problems;
    return taken;
  }
}

/** @returns a text: what Spring would not take as it is */
export function configAccount(published: PublishedAccount): AccountOptions | string {
  const { type: _type, ...account }: Record<string, unknown> = definitionOf(published);
  if (!validator.Check(account)) {
    const [error] = validator.Errors(account);
    const where = error?.instancePath.replace(/^\//u, '').replaceAll('/', '.') ?? '';
    return `its ${where === '' ? 'options' : where}: not what Clouddriver takes (${error?.message ?? 'wrong type'}); correct it where the account is configured`;
  }
  for (const [option, value] of flatOptions(account))
    if (replaced.test(String(value)) || replaced.test(option))
      return `its ${option}: Spring would replace "${String(value).slice(0, 100)}" by something else; change it`;
  return account;
}
