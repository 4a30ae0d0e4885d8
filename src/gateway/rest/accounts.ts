/**
 * Accounts: `/armory/accounts` shows dynamic ones and has them changed (account-changes.ts), `/agents/kubernetes/accounts`
 * shows any.
 */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import Type, { type Static } from 'typebox';
import { GatewayError } from '../../core/errors.js';
import { accountStatuses } from '../../store/accounts/account-lifecycle.js';
import type { AccountRecord } from '../../store/accounts/account-record.js';
import type { AccountStore } from '../../store/accounts/accounts.js';
import type { ClouddriverAccountRecord } from '../../store/accounts/clouddriver-account-record.js';
import type { ClouddriverAccountStore } from '../../store/accounts/clouddriver-accounts.js';
import type { AssignmentStore } from '../../store/assignments/assignments.js';
import type { DynamicAccountStore } from '../../store/accounts/dynamic-accounts.js';
import type { Definitions } from '../accounts/definition.js';
import { enabledRequests, type AccountChangeRoutesOptions } from './account-changes.js';
import type { ClusterReader } from '../attention/cluster-reader.js';
import { accountStateNames } from '../attention/account-states.js';
import { listAccountStates, toAccountAnswer } from './account-states.js';
import { accountAnswer, accountParams as params, clouddriverAnswer, kubesvcAccount } from './account-schemas.js';
import { problems } from './problem.js';

export interface AccountRoutesOptions {
  readonly assignments: AssignmentStore;
  readonly reader: ClusterReader;
  readonly dynamicAccounts: DynamicAccountRoutesOptions;
  /** Absent: no Clouddriver gets accounts. */
  readonly clouddriverAccounts?: Pick<ClouddriverAccountStore, 'named'> | undefined;
}

export interface DynamicAccountRoutesOptions extends AccountChangeRoutesOptions {
  readonly accounts: Pick<AccountStore, 'find' | 'findAll' | 'list' | 'properties'>;
  readonly store: Pick<DynamicAccountStore, 'list' | 'summaries'>;
  readonly definitions: Pick<Definitions, 'masked'>;
}

const queryTimeoutMs = 30_000;
const tags = ['accounts'];
/** A database may refuse to compare names with characters that no name has. */
const nameLike = { maxLength: 253, pattern: '^[A-Za-z0-9_.:@/+=-]*$' };

export const accountRoutes: FastifyPluginCallbackTypebox<AccountRoutesOptions> = (
  app,
  { assignments, reader, clouddriverAccounts, dynamicAccounts: { accounts, store, definitions, requests } },
  done,
) => {
  const signal = (): AbortSignal => AbortSignal.timeout(queryTimeoutMs);
  const find = async (name: string): Promise<AccountRecord> => {
    const record = await accounts.find(name, signal());
    if (record !== undefined) return record;
    throw new GatewayError('unknown-account', `account "${name}" is not known`, { account: name });
  };
  /** By name. */
  const atClouddriver = async (names: readonly string[]): Promise<ReadonlyMap<string, AtClouddriver>> => {
    const records = (await clouddriverAccounts?.named(names, signal())) ?? [];
    return new Map(records.map((record) => [record.name, { clouddriver: toClouddriver(record) }]));
  };

  app.get(
    '/armory/accounts',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'listAccounts',
        tags,
        summary: 'List dynamic accounts, or all accounts in a state, sorted by name.',
        querystring: Type.Object({
          items: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 500 })),
          after: Type.Optional(
            Type.String({
              ...nameLike,
              description: 'Return only names after this one: set it to the last name on the previous page.',
            }),
          ),
          status: Type.Optional(Type.Enum([...accountStatuses])),
          zoneId: Type.Optional(Type.String(nameLike)),
          state: Type.Optional(
            Type.Enum([...accountStateNames, 'all'], {
              description:
                'All accounts in this state, also those that agents registered; `status` and `zoneId` do not apply then.',
            }),
          ),
        }),
        response: { 200: Type.Array(accountAnswer), ...problems(400, 500, 501, 503) },
      },
    },
    async ({ query: { items = 500, after = '', status, zoneId, state } }) => {
      if (state !== undefined) {
        const other = status === undefined ? (zoneId === undefined ? undefined : 'zoneId') : 'status';
        if (other !== undefined)
          throw new GatewayError('invalid-argument', `${other}: cannot be combined with state`, { field: other });
        return listAccountStates({ reader, accounts, definitions }, state, after, items, signal());
      }
      enabledRequests(requests);
      const records = await store.list({ status, zoneId }, after, items, signal());
      const there = await atClouddriver(records.map(({ name }) => name));
      return records.map((record) => ({ ...toAccountAnswer(record, definitions), ...there.get(record.name) }));
    },
  );

  app.get(
    '/armory/accounts/:name',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'getAccount',
        tags,
        summary: 'Show one account, with the agents that serve it.',
        params,
        response: { 200: accountAnswer, ...problems(400, 404, 414, 500, 501, 503) },
      },
    },
    async ({ params: { name } }) => {
      enabledRequests(requests);
      const record = await find(name);
      const ownership = (await assignments.find([name], signal())).get(name);
      const agents = (ownership?.assignments ?? []).map(({ agentId, instanceId, caching }) => ({
        agentId,
        clouddriverId: instanceId,
        caching,
      }));
      return { ...toAccountAnswer(record, definitions), ...(await atClouddriver([name])).get(name), agents };
    },
  );

  app.get(
    '/agents/kubernetes/accounts/:name',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'getKubesvcAccount',
        tags,
        summary: 'Show an account, dynamic or registered by an agent.',
        params,
        response: { 200: kubesvcAccount, ...problems(400, 404, 414, 500, 503) },
      },
    },
    async ({ params: { name } }) => ({
      ...toKubesvcAccount(await find(name), definitions),
      ...(await atClouddriver([name])).get(name),
    }),
  );

  app.get(
    '/agents/kubernetes/accounts/:name/namespaces',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'listAccountNamespaces',
        tags,
        summary: 'List the namespaces of an account, as its agents registered them.',
        params,
        response: {
          200: Type.Array(Type.String(), { examples: [['default', 'shop']] }),
          ...problems(400, 404, 414, 500, 503),
        },
      },
    },
    async ({ params: { name } }) => [...(await find(name)).namespaces],
  );

  done();
};

interface AtClouddriver {
  readonly clouddriver: Static<typeof clouddriverAnswer>;
}

function toClouddriver({ state, message, lastUpdated }: ClouddriverAccountRecord): AtClouddriver['clouddriver'] {
  const since = new Date(lastUpdated).toISOString();
  return { state, ...(message === undefined ? {} : { message }), lastUpdated: since };
}

function toKubesvcAccount(
  record: AccountRecord,
  definitions: Pick<Definitions, 'masked'>,
): Static<typeof kubesvcAccount> {
  const { name, status, zoneId, dynamic, connections, kubeHost, kubeVersion, certFingerprint } = record;
  const { maxWatchAgeSeconds, errorMessage, failedCount, lastUpdated, properties } = record;
  const definition = definitions.masked(record.definition);
  const { permissions } = definition;
  const def = JSON.stringify(definition);
  const props = JSON.stringify(properties);
  return {
    name,
    status,
    zoneId,
    dynamic,
    connections,
    kubeHost,
    kubeVersion,
    certFingerprint,
    maxWatchAgeSeconds,
    ...(errorMessage === undefined ? {} : { errorMessage }),
    retryCount: failedCount,
    lastUpdated,
    definition,
    definitionAsString: def,
    def,
    permissions: typeof permissions === 'object' && permissions !== null ? { ...permissions } : {},
    properties: { ...properties },
    propertiesAsString: props,
    props,
  };
}
