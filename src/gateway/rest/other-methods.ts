/** A method that a path does not have is answered with 405 and `Allow` (RFC 9110, section 15.5.6), not as unknown. */

import type { FastifyInstance, HTTPMethods } from 'fastify';
import { GatewayError } from '../../core/errors.js';
import { sendProblem } from './problem.js';

const methods: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY'];

/**
 * Watches which routes are registered from now on.
 * @returns a function that registers the answers for all other methods of these paths; call it after the last route
 */
export function answerOtherMethods(app: FastifyInstance, instanceId: string): () => void {
  const known = new Map<string, Set<HTTPMethods>>();
  app.addHook('onRoute', ({ url, method }) => {
    const of = known.get(url) ?? new Set();
    for (const name of [method].flat()) of.add(name);
    known.set(url, of);
  });
  return () => {
    for (const [url, own] of [...known]) {
      const allow = [...own].sort().join(', ');
      const method = methods.filter((name) => !own.has(name));
      if (method.length === 0) continue;
      app.route({
        url,
        method,
        config: { role: 'public' },
        schema: { hide: true },
        // Before the body is read, because it does not matter.
        onRequest: (request, reply, _next) => {
          const message = `this path does not support ${request.method}, only ${allow}`;
          void reply.header('allow', allow);
          void sendProblem(reply, new GatewayError('invalid-argument', message), instanceId, 405);
        },
        handler: () => undefined,
      });
    }
  };
}
