/**
 * Accounts: `/armory/accounts` adds, changes and removes dynamic ones, `/agents/kubernetes/accounts` shows any.
 * Requests are accepted, and the instance that holds the agents fulfils them; their outcome is the account's status.
 */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import type { preValidationHookHandler } from 'fastify';
import Type, { type Static } from 'typebox';
import { GatewayError } from '../../core/errors.js';
import { accountStatuses } from '../../store/accounts/account-lifecycle.js';
import type { AccountRecord } from '../../store/accounts/account-record.js';
import type { AccountStore } from '../../store/accounts/accounts.js';
import type { AssignmentStore } from '../../store/assignments/assignments.js';
import type { DynamicAccountStore } from '../../store/accounts/dynamic-accounts.js';
import type { Definitions } from '../accounts/definition.js';
import type { AccountDefinition, AccountRequests } from '../accounts/requests.js';
import {
  accountAnswer,
  accountDefinition,
  accountName,
  accountRequest,
  batch,
  kubesvcAccount,
  presentAccount,
} from './account-schemas.js';
import { problems } from './problem.js';

export interface AccountRoutesOptions {
  readonly assignments: AssignmentStore;
  readonly dynamicAccounts: DynamicAccountRoutesOptions;
}

export interface DynamicAccountRoutesOptions {
  readonly accounts: Pick<AccountStore, 'find'>;
  readonly store: Pick<DynamicAccountStore, 'list' | 'summaries'>;
  readonly definitions: Pick<Definitions, 'masked'>;
  /** Undefined: kubesvc.dynamicAccounts.enabled is false. */
  readonly requests: AccountRequests | undefined;
}

const queryTimeoutMs = 30_000;
const tags = ['accounts'];
const params = Type.Object({ name: accountName });
/** A database may refuse to compare names with characters that no name has. */
const nameLike = { maxLength: 253, pattern: '^[A-Za-z0-9_.:@/+=-]*$' };
const accepted = Type.Array(Type.Object({}), {
  maxItems: 0,
  examples: [[]],
  description: 'Accepted. The status of the account shows the outcome.',
});
const present = Type.Array(presentAccount, {
  description: 'The accounts that exist already. The other accounts in the request were accepted.',
});

/** Armory accepts a single account in place of a list. */
const oneIsAList: preValidationHookHandler = (request, _reply, done) => {
  const { body } = request;
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) request.body = [body];
  done();
};

export const accountRoutes: FastifyPluginCallbackTypebox<AccountRoutesOptions> = (
  app,
  { assignments, dynamicAccounts: { accounts, store, definitions, requests } },
  done,
) => {
  const signal = (): AbortSignal => AbortSignal.timeout(queryTimeoutMs);
  const enabled = (): AccountRequests => {
    if (requests !== undefined) return requests;
    throw new GatewayError('not-implemented', 'dynamic accounts are off: set kubesvc.dynamicAccounts.enabled');
  };
  const find = async (name: string): Promise<AccountRecord> => {
    const record = await accounts.find(name, signal());
    if (record !== undefined) return record;
    throw new GatewayError('unknown-account', `account "${name}" is not known`, { account: name });
  };

  app.get(
    '/armory/accounts',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'listAccounts',
        tags,
        summary: 'List dynamic accounts, sorted by name.',
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
        }),
        response: { 200: Type.Array(accountAnswer), ...problems(400, 500, 501, 503) },
      },
    },
    async ({ query: { items = 500, after = '', status, zoneId } }) => {
      enabled();
      const records = await store.list({ status, zoneId }, after, items, signal());
      return records.map((record) => toAnswer(record, definitions));
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
      enabled();
      const record = await find(name);
      const ownership = (await assignments.find([name], signal())).get(name);
      const agents = (ownership?.assignments ?? []).map(({ agentId, instanceId, caching }) => ({
        agentId,
        clouddriverId: instanceId,
        caching,
      }));
      return { ...toAnswer(record, definitions), agents };
    },
  );

  app.post(
    '/armory/accounts',
    {
      config: { role: 'admin' },
      preValidation: oneIsAList,
      schema: {
        operationId: 'addAccounts',
        tags,
        summary: 'Add accounts of Clouddriver, or accounts with their own kubeconfig.',
        description: 'They are INACTIVE unless `state` is ACTIVE.',
        body: batch(accountRequest),
        response: { 202: accepted, 409: present, ...problems(400, 413, 415, 500, 501, 503) },
      },
    },
    async ({ body }, reply) => {
      const there = await enabled().migrate(body, signal());
      if (there.length > 0) return reply.code(409).send(there.map(toPresent));
      return reply.code(202).send([]);
    },
  );

  app.patch(
    '/armory/accounts',
    {
      config: { role: 'admin' },
      preValidation: oneIsAList,
      schema: {
        operationId: 'changeAccounts',
        tags,
        summary: 'Activate or deactivate accounts, or change their zone or kubeconfig.',
        body: batch(accountRequest),
        response: { 202: accepted, ...problems(400, 404, 409, 413, 415, 500, 501, 503) },
      },
    },
    async ({ body }, reply) => {
      await enabled().change(body, signal());
      return reply.code(202).send([]);
    },
  );

  app.delete(
    '/armory/accounts',
    {
      config: { role: 'admin' },
      schema: {
        operationId: 'deleteAccounts',
        tags,
        summary: 'Take accounts away from their agents and delete them.',
        body: batch(accountName),
        response: { 202: accepted, ...problems(400, 404, 409, 413, 415, 500, 501, 503) },
      },
    },
    async ({ body }, reply) => {
      await enabled().remove(body, signal());
      return reply.code(202).send([]);
    },
  );

  app.delete(
    '/armory/accounts/:name',
    {
      config: { role: 'admin' },
      schema: {
        operationId: 'deleteAccount',
        tags,
        summary: 'Take one account away from its agents and delete it.',
        params,
        response: { 202: accepted, ...problems(400, 404, 409, 414, 500, 501, 503) },
      },
    },
    async ({ params: { name } }, reply) => {
      await enabled().remove([name], signal());
      return reply.code(202).send([]);
    },
  );

  app.post(
    '/armory/accounts/dynamic',
    {
      config: { role: 'admin' },
      preValidation: oneIsAList,
      schema: {
        operationId: 'addAccountDefinitions',
        tags,
        summary: 'Add accounts with their definitions, as INACTIVE.',
        body: batch(accountDefinition),
        response: { 202: accepted, 409: present, ...problems(400, 413, 415, 500, 501, 503) },
      },
    },
    async ({ body }, reply) => {
      const there = await enabled().add(body.map(toDefinition), signal());
      if (there.length > 0) return reply.code(409).send(there.map(toPresent));
      return reply.code(202).send([]);
    },
  );

  app.put(
    '/armory/accounts/dynamic',
    {
      config: { role: 'admin' },
      schema: {
        operationId: 'replaceAccountDefinition',
        tags,
        summary: "Replace an account's definition. Agents that serve it get the new one at once.",
        body: accountDefinition,
        response: { 202: accepted, ...problems(400, 404, 409, 413, 415, 500, 501, 503) },
      },
    },
    async ({ body }, reply) => {
      await enabled().replace(toDefinition(body), signal());
      return reply.code(202).send([]);
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
    async ({ params: { name } }) => toKubesvcAccount(await find(name), definitions),
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

function toDefinition({ name, zoneId, ...options }: Static<typeof accountDefinition>): AccountDefinition {
  return { name, zoneId, options };
}

function toPresent({ name, status: state, zoneId, dynamic }: AccountRecord): Static<typeof presentAccount> {
  return { name, state, zoneId, dynamic };
}

function toAnswer(record: AccountRecord, definitions: Pick<Definitions, 'masked'>): Static<typeof accountAnswer> {
  const { name, status, zoneId, dynamic, connections, failedCount, errorMessage, lastUpdated, definition } = record;
  return {
    name,
    type: 'kubernetes',
    source: dynamic ? 'dynamic' : 'agent',
    status,
    zoneId,
    connections,
    failedCount,
    ...(errorMessage === undefined ? {} : { errorMessage }),
    lastUpdated: new Date(lastUpdated).toISOString(),
    config: definitions.masked(definition),
  };
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
