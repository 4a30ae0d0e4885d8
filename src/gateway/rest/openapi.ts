/** The description of the API, made from the routes' schemas: `/openapi.json`, and `/docs` to read and try it. */

import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';

/** Everything comes from this server, and nothing may embed the page. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Call this before the routes are registered. */
export async function describeApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Agent Gateway',
        version,
        description: 'Routes operations to the Kubernetes agents that own the accounts.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            description: 'A token that server.auth accepts. A client certificate, or nothing, may do as well.',
          },
        },
      },
      security: [{ bearer: [] }, {}],
      tags: [
        { name: 'operations', description: 'Operations on accounts, and their history.' },
        { name: 'agents', description: 'Connected agents.' },
        {
          name: 'accounts',
          description: 'Target clusters: accounts of agents, and dynamic accounts that are added here.',
        },
        { name: 'instances', description: 'Instances of the gateway ("clouddrivers").' },
        { name: 'gateway', description: 'Probes and metrics of the instance that answers.' },
      ],
    },
  });
  // For anyone, like the pages that show it: they say nothing that the project's own documentation does not say, and a
  // token can only be entered once they are there.
  app.get('/openapi.json', { config: { role: 'public' }, schema: { hide: true } }, () => app.swagger());
  app.addHook('onRoute', (route) => {
    if (route.url.startsWith('/docs')) route.config = { ...route.config, role: 'public' };
    if (route.config?.role === 'public') route.schema = { ...route.schema, security: [] };
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: contentSecurityPolicy,
    // null: no validator, which would be another site.
    uiConfig: { validatorUrl: null, docExpansion: 'list', tryItOutEnabled: true, persistAuthorization: false },
    theme: { title: 'Agent Gateway' },
  });
}
