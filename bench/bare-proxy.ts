/**
 * What the Kubernetes API through the gateway is compared with: `bare-proxy.ts PORT UPSTREAM`, a reverse proxy of Fastify and
 * undici, and nothing between them. It knows one server: no accounts, owners, callers, records or errors of its own.
 */

import Fastify from 'fastify';
import { Pool } from 'undici';

const [port = '', upstream = ''] = process.argv.slice(2);
const pool = new Pool(upstream, { headersTimeout: 0, bodyTimeout: 0 });
const app = Fastify({ keepAliveTimeout: 300_000 });

app.removeAllContentTypeParsers();
app.addContentTypeParser('*', (_request, payload, done) => {
  done(null, payload);
});
app.all('*', async (request, reply) => {
  const { connection: _, 'transfer-encoding': __, ...headers } = request.headers;
  const response = await pool.request({
    method: request.method,
    path: request.url,
    headers,
    body: request.method === 'GET' ? null : request.raw,
  });
  const { connection: ___, 'transfer-encoding': ____, 'keep-alive': _____, ...answered } = response.headers;
  return reply.code(response.statusCode).headers(answered).send(response.body);
});
await app.listen({ port: Number(port), host: '127.0.0.1' });
