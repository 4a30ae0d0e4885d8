/** `GET /armory/agent/operations`: operations of the whole cluster, pending and recent, from the truth. */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { GatewayError } from '../../core/errors.js';
import { finalOutcomes } from '../../store/operations/operation-record.js';
import type { OperationStore } from '../../store/operations/operations.js';
import { operationPath } from '../peers/forwarding.js';
import { historySchema, toHistory } from './history.js';
import { nameSchema } from './names.js';
import { problems } from './problem.js';

export interface OperationListOptions {
  readonly operations: Pick<OperationStore, 'list'>;
}

const defaultItems = 50;
const maxItems = 500;
/** A page costs as much as all pages before it: to see more, set `until`. */
const maxRecords = 10_000;
const queryTimeoutMs = 30_000;

const time = (description: string) =>
  Type.Optional(Type.String({ format: 'date-time', description, examples: ['2026-03-01T00:00:00.000Z'] }));

const query = Type.Object(
  {
    items: Type.Optional(
      Type.Integer({ minimum: 1, maximum: maxItems, default: defaultItems, description: 'Records per page.' }),
    ),
    page: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: maxRecords,
        default: 0,
        description: '0 is the first page, with the newest records.',
      }),
    ),
    account: Type.Optional(nameSchema(255, { examples: ['prod-eu'] })),
    outcome: Type.Optional(
      Type.Enum(['pending', ...finalOutcomes], { description: 'pending: in progress, without an outcome yet.' }),
    ),
    since: time('Started at this time or later.'),
    until: time('Started before this time.'),
  },
  { additionalProperties: false },
);

export const operationListRoutes: FastifyPluginCallbackTypebox<OperationListOptions> = (app, { operations }, done) => {
  app.get(
    operationPath,
    {
      config: { role: 'read' },
      schema: {
        operationId: 'listOperations',
        tags: ['operations'],
        summary: 'List pending and recent operations of the cluster, newest first.',
        description: `Every instance returns the same. You can page through the first ${String(maxRecords)} records. For older ones, set \`until\` to the \`startTime\` of the last one.`,
        querystring: query,
        response: { 200: Type.Array(historySchema), ...problems(400, 500, 503) },
      },
    },
    async (request) => {
      const { items = defaultItems, page = 0, account, outcome, since, until } = request.query;
      if (items * (page + 1) > maxRecords) {
        throw new GatewayError(
          'invalid-argument',
          `query.page: at most ${String(maxRecords)} records can be paged through; set until to the startTime of the last one`,
          { field: 'query.page' },
        );
      }
      const filter = {
        items,
        page,
        ...(account === undefined ? {} : { account }),
        ...(outcome === undefined ? {} : { outcome }),
        ...(since === undefined ? {} : { since: timeOf('since', since) }),
        ...(until === undefined ? {} : { until: timeOf('until', until) }),
      };
      return (await operations.list(filter, AbortSignal.timeout(queryTimeoutMs))).map(toHistory);
    },
  );

  done();
};

/** @throws GatewayError `invalid-argument` for leap seconds, which RFC 3339 allows and Unix time does not have */
function timeOf(name: string, text: string): number {
  const ms = Date.parse(text);
  if (!Number.isNaN(ms)) return ms;
  const field = `query.${name}`;
  throw new GatewayError('invalid-argument', `${field}: not a time: "${text.slice(0, 64)}"`, { field });
}
