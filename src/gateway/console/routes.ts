/** `/console`: the page, its data, and the stream of changes. */

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply } from 'fastify';
import Type from 'typebox';
import { GatewayError } from '../../core/errors.js';
import { accountStatuses } from '../../store/accounts/account-lifecycle.js';
import { toHistory } from '../rest/history.js';
import { operationQuery, readFilter, writePosition } from '../rest/operation-query.js';
import type { OperationList, Overview } from './answers.js';
import { readAssets } from './assets.js';
import type { ClusterWatch } from './cluster-watch.js';
import { EventStream } from './event-stream.js';
import { accountOrders, accountPage, agentOrders, agentPage, dynamicOrders, dynamicPage } from './lists.js';
import { offlineAccountPage, offlineAgentPage, offlineOrders } from './offline-lists.js';
import { overview } from './overview.js';

interface ConsoleRoutesOptions {
  readonly instanceId: string;
  readonly version: string;
  readonly console: ClusterWatch;
}

/** Nothing but this server's own files; texts become markup only in lit-html's templates (W3C Trusted Types). */
const securityHeaders = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types lit-html',
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/** The most consoles that watch one replica at the same time. */
const maxStreams = 64;
const stalledMs = 30_000;
const pingMs = 15_000;
const operationItems = 50;

const search = Type.Optional(Type.String({ maxLength: 255 }));
const page = Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000, default: 0 }));
const yesNo = Type.Optional(Type.Enum(['true', 'false']));
const name = Type.Optional(Type.String({ minLength: 1, maxLength: 255 }));

type App = Parameters<FastifyPluginAsyncTypebox>[0];

const hidden = { hide: true };
const read = { role: 'read' } as const;

/** The console as a plugin, so that rest/ need not know it. */
export function consoleRoutes(options: ConsoleRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    await serveAssets(app);
    serveData(app, options);
    streamEvents(app, options);
  };
}

/** The page, with all that it loads. */
async function serveAssets(app: App): Promise<void> {
  for (const { path, contentType, bytes, etag } of await readAssets()) {
    const url = path === 'index.html' ? '/console' : `/console/${path}`;
    app.get(url, { config: { role: 'public' }, schema: hidden }, (request, reply) => {
      void reply.headers(securityHeaders).header('cache-control', 'no-cache').header('etag', etag);
      if (request.headers['if-none-match'] === etag) return reply.code(304).send();
      return reply.type(contentType).send(bytes);
    });
  }
  // Relative: a proxy may serve all of this below a path of its own.
  app.get('/', { config: { role: 'public' }, schema: hidden }, (_request, reply) => reply.redirect('console', 302));
  app.get('/console/', { config: { role: 'public' }, schema: hidden }, (_request, reply) =>
    reply.redirect('../console', 308),
  );
}

/** What the page asks for. */
function serveData(app: App, { instanceId, version, console: watch }: ConsoleRoutesOptions): void {
  app.get('/console/data/overview', { config: read, schema: hidden }, async (_request, reply): Promise<Overview> => {
    await watch.refresh();
    fresh(reply);
    return overview(watch, { instanceId, version });
  });

  app.get(
    '/console/data/agents',
    {
      config: read,
      schema: {
        ...hidden,
        querystring: Type.Object({
          search,
          page,
          sort: orders(agentOrders),
          caching: yesNo,
          replica: name,
          agent: name,
        }),
      },
    },
    async ({ query }, reply) => {
      await watch.agents.refresh();
      fresh(reply);
      return agentPage(watch.agents.required().agents, { ...query, caching: flag(query.caching) }, query.page ?? 0);
    },
  );

  app.get(
    '/console/data/accounts',
    {
      config: read,
      schema: {
        ...hidden,
        querystring: Type.Object({
          search,
          page,
          sort: orders(accountOrders),
          cached: yesNo,
          agent: name,
          account: name,
        }),
      },
    },
    async ({ query }, reply) => {
      await watch.agents.refresh();
      fresh(reply);
      const question = { ...query, cached: flag(query.cached) };
      return watch.withAccess(accountPage(watch.agents.required().agents, question, query.page ?? 0));
    },
  );

  const offlineQuery = { search, page, sort: orders(offlineOrders), agent: name, account: name };
  app.get(
    '/console/data/offline-agents',
    { config: read, schema: { ...hidden, querystring: Type.Object(offlineQuery) } },
    async ({ query }, reply) => {
      await watch.offline.refresh();
      fresh(reply);
      return offlineAgentPage(watch.offline.required().agents, query, query.page ?? 0);
    },
  );

  app.get(
    '/console/data/offline-accounts',
    { config: read, schema: { ...hidden, querystring: Type.Object(offlineQuery) } },
    async ({ query }, reply) => {
      await watch.offline.refresh();
      fresh(reply);
      return offlineAccountPage(watch.offline.required().accounts, query, query.page ?? 0);
    },
  );

  app.get(
    '/console/data/dynamic-accounts',
    {
      config: read,
      schema: {
        ...hidden,
        querystring: Type.Object({
          search,
          page,
          sort: orders(dynamicOrders),
          status: Type.Optional(Type.Enum([...accountStatuses])),
        }),
      },
    },
    async ({ query }, reply) => {
      if (watch.dynamic === undefined)
        throw new GatewayError('not-implemented', 'dynamic accounts are off: set kubesvc.dynamicAccounts.enabled');
      await watch.dynamic.refresh();
      fresh(reply);
      return dynamicPage(watch.dynamic.required().accounts, query, query.page ?? 0);
    },
  );

  app.get(
    '/console/data/operations',
    { config: read, schema: { ...hidden, querystring: Type.Object(operationQuery) } },
    async ({ query }, reply): Promise<OperationList> => {
      const { records, next } = await watch.operationPage({ items: operationItems, ...readFilter(query) });
      fresh(reply);
      return {
        items: records.map(toHistory),
        ...(next === undefined ? {} : { next: writePosition(next) }),
        ...(next === undefined || records.length === operationItems ? {} : { searchedTo: next.time }),
      };
    },
  );
}

/** What has changed, told to every page that is open. */
function streamEvents(app: App, { instanceId, version, console: watch }: ConsoleRoutesOptions): void {
  const streams = new Set<EventStream>();
  let told: string | undefined;
  let unsubscribe: (() => void) | undefined;
  const tell = (): void => {
    told = JSON.stringify(overview(watch, { instanceId, version }));
    for (const stream of streams) stream.notify();
  };

  app.get('/console/events', { config: read, schema: hidden }, (_request, reply) => {
    if (streams.size >= maxStreams) {
      throw new GatewayError('overloaded', `${String(maxStreams)} consoles already watch this replica`, {
        retryAfterMs: 10_000,
      });
    }
    const stream = new EventStream({ newest: () => told, stalledMs, pingMs });
    streams.add(stream);
    unsubscribe ??= watch.subscribe(tell);
    stream.once('close', () => {
      streams.delete(stream);
      if (streams.size > 0) return;
      unsubscribe?.();
      unsubscribe = undefined;
      told = undefined;
    });
    return reply
      .headers({ 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
      .send(stream);
  });

  // A server cannot close while a response never ends.
  app.addHook('preClose', (done) => {
    for (const stream of streams) stream.end();
    done();
  });
}

/** The names, and each with `-` before it. */
function orders(names: readonly string[]) {
  return Type.Optional(Type.Enum(names.flatMap((one) => [one, `-${one}`])));
}

function flag(text: 'true' | 'false' | undefined): boolean | undefined {
  return text === undefined ? undefined : text === 'true';
}

function fresh(reply: FastifyReply): void {
  void reply.header('cache-control', 'no-store');
}
