/** `/healthz`, `/readyz` and `/metrics`: for probes and scrapers. */

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import type { Metrics } from '../telemetry/metrics.js';
import type { Readiness } from '../telemetry/readiness.js';

export interface HealthRoutesOptions {
  readonly instanceId: string;
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  /** Brings gauges up to date before they are read. */
  readonly collect: () => void;
}

const readinessSchema = Type.Object({
  id: Type.String({ description: 'This instance.', examples: ['gateway-7d9c5b8f6-x2x9k'] }),
  status: Type.Enum(['starting', 'ready', 'draining', 'degraded'], {
    description: 'degraded: a dependency that operations need is missing.',
  }),
  since: Type.String({ format: 'date-time', description: 'Since when it has had this status.' }),
  checks: Type.Record(Type.String(), Type.Object({ ok: Type.Boolean(), detail: Type.Optional(Type.String()) }), {
    description:
      'sql, redis, discovery. An instance stays ready without Redis or discovery: it is slower, but still correct.',
  }),
});

export const healthRoutes: FastifyPluginCallbackTypebox<HealthRoutesOptions> = (
  app,
  { instanceId, readiness, metrics, collect },
  done,
) => {
  app.get(
    '/healthz',
    {
      config: { role: 'public' },
      schema: {
        operationId: 'getHealth',
        tags: ['gateway'],
        summary: 'Check whether the process works. If not, restart it.',
        response: {
          200: Type.Object(
            { id: Type.String(), status: Type.Literal('ok') },
            { examples: [{ id: 'gateway-7d9c5b8f6-x2x9k', status: 'ok' }] },
          ),
        },
      },
    },
    () => ({ id: instanceId, status: 'ok' as const }),
  );

  app.get(
    '/readyz',
    {
      config: { role: 'public' },
      schema: {
        operationId: 'getReadiness',
        tags: ['gateway'],
        summary: 'Check whether this instance accepts operations, and which dependency is missing.',
        response: { 200: readinessSchema, 503: readinessSchema },
      },
    },
    (_request, reply) => {
      const { ready, status, since, checks } = readiness.report();
      void reply.code(ready ? 200 : 503);
      return { id: instanceId, status, since: new Date(since).toISOString(), checks };
    },
  );

  app.get(
    '/metrics',
    {
      config: { role: 'read' },
      schema: {
        operationId: 'getMetrics',
        tags: ['gateway'],
        summary: 'Metrics in the Prometheus text format.',
        response: {
          200: { description: 'All metrics of this instance.', content: { 'text/plain': { schema: Type.String() } } },
        },
      },
    },
    async (_request, reply) => {
      collect();
      return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
    },
  );

  done();
};
