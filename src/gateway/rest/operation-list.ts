/** `GET /armory/agent/operations`: operations of the whole cluster, pending and recent, from the truth. */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { GatewayError } from '../../core/errors.js';
import type { OperationStore } from '../../store/operations/operations.js';
import { operationPath } from '../peers/forwarding.js';
import { historySchema, toHistory } from './history.js';
import { operationQuery, readFilter, writePosition, type OperationQuery } from './operation-query.js';
import { problems } from './problem.js';

export interface OperationListOptions {
  readonly operations: Pick<OperationStore, 'page'>;
}

const defaultItems = 50;
const maxItems = 500;
/** A page costs as much as all pages before it: to see more, follow `next`. */
const maxRecords = 10_000;
const queryTimeoutMs = 30_000;

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
        description: '0 is the first page, with the newest records. To read many, follow `Link` instead.',
      }),
    ),
    ...operationQuery,
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
        description: `Every instance returns the same. Filters are combined: a record must match all of them. \`Link\` with \`rel="next"\` is the address of the next page; without it, this was the last one. Of several filters, and of \`search\`, a page may have fewer records than \`items\`, or none, and a \`Link\`: a request searches only so far. With \`page\` you can page through the first ${String(maxRecords)} records.`,
        querystring: query,
        response: {
          200: {
            description: 'Records, newest first.',
            headers: Type.Object({
              link: Type.Optional(Type.String({ description: 'The next page (RFC 8288).' })),
            }),
            content: { 'application/json': { schema: Type.Array(historySchema) } },
          },
          ...problems(400, 500, 503),
        },
      },
    },
    async (request, reply) => {
      const { items = defaultItems, page = 0, ...filters } = request.query;
      if (items * (page + 1) > maxRecords) {
        throw new GatewayError(
          'invalid-argument',
          `query.page: at most ${String(maxRecords)} records can be paged through; follow the Link of a page without it`,
          { field: 'query.page' },
        );
      }
      const filter = { items, page, ...readFilter(filters) };
      const { records, next } = await operations.page(filter, AbortSignal.timeout(queryTimeoutMs));
      if (next !== undefined) {
        const address = `${operationPath}?${nextQuery(items, { ...filters, after: writePosition(next) })}`;
        void reply.header('link', `<${address}>; rel="next"`);
      }
      return records.map(toHistory);
    },
  );

  done();
};

function nextQuery(items: number, filters: OperationQuery): string {
  const parameters = new URLSearchParams({ items: String(items) });
  for (const [name, value] of Object.entries(filters)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) parameters.append(name, one);
  }
  return parameters.toString();
}
