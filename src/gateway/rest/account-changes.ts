/**
 * Adds, changes and removes dynamic accounts. Requests are accepted, and the instance that holds the agents fulfils them;
 * their outcome is the account's status.
 */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import type { preValidationHookHandler } from 'fastify';
import Type, { type Static } from 'typebox';
import { GatewayError } from '../../core/errors.js';
import type { AccountRecord } from '../../store/accounts/account-record.js';
import type { AccountDefinition, AccountRequests } from '../accounts/requests.js';
import {
  accountDefinition,
  accountName,
  accountParams as params,
  accountRequest,
  batch,
  presentAccount,
} from './account-schemas.js';
import { problems } from './problem.js';

export interface AccountChangeRoutesOptions {
  /** Undefined: kubesvc.dynamicAccounts.enabled is false. */
  readonly requests: AccountRequests | undefined;
}

const tags = ['accounts'];
const accepted = Type.Array(Type.Object({}), {
  maxItems: 0,
  examples: [[]],
  description: 'Accepted. The status of the account shows the outcome.',
});
const present = Type.Array(presentAccount, {
  description: 'The accounts that exist already. The other accounts in the request were accepted.',
});
const queryTimeoutMs = 30_000;
const signal = (): AbortSignal => AbortSignal.timeout(queryTimeoutMs);

/** @throws GatewayError `not-implemented` where dynamic accounts are off */
export function enabledRequests(requests: AccountRequests | undefined): AccountRequests {
  if (requests !== undefined) return requests;
  throw new GatewayError('not-implemented', 'dynamic accounts are off: set kubesvc.dynamicAccounts.enabled');
}

/** Armory accepts a single account in place of a list. */
const oneIsAList: preValidationHookHandler = (request, _reply, done) => {
  const { body } = request;
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) request.body = [body];
  done();
};

export const accountChangeRoutes: FastifyPluginCallbackTypebox<AccountChangeRoutesOptions> = (
  app,
  { requests },
  done,
) => {
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
      const there = await enabledRequests(requests).migrate(body, signal());
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
      await enabledRequests(requests).change(body, signal());
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
      await enabledRequests(requests).remove(body, signal());
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
      await enabledRequests(requests).remove([name], signal());
      return reply.code(202).send([]);
    },
  );

  done();
};

/** `/armory/accounts/dynamic`: whole definitions. */
export const accountDefinitionRoutes: FastifyPluginCallbackTypebox<AccountChangeRoutesOptions> = (
  app,
  { requests },
  done,
) => {
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
      const there = await enabledRequests(requests).add(body.map(toDefinition), signal());
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
      await enabledRequests(requests).replace(toDefinition(body), signal());
      return reply.code(202).send([]);
    },
  );

  done();
};

function toDefinition({ name, zoneId, ...options }: Static<typeof accountDefinition>): AccountDefinition {
  return { name, zoneId, options };
}

function toPresent({ name, status: state, zoneId, dynamic }: AccountRecord): Static<typeof presentAccount> {
  return { name, state, zoneId, dynamic };
}
