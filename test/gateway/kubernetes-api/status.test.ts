/** What kubectl makes of our errors, and of the API server's own. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { test } from 'tap';
import { GatewayError, type ErrorCode } from '../../../src/core/errors.js';
import { statusAnswer } from '../../../src/gateway/kubernetes-api/status.js';
import { clusterTools } from '../../services/helm.js';

interface StatusBody {
  readonly kind: string;
  readonly reason?: string;
  readonly details?: { readonly retryAfterSeconds?: number };
}

function headerOf({ headers }: { readonly headers: readonly string[] }, name: string): string | undefined {
  const at = headers.indexOf(name);
  return at === -1 ? undefined : headers[at + 1];
}

test('codes, reasons and when to try again', async (t) => {
  const rows: readonly (readonly [ErrorCode, number, string | undefined, string | undefined])[] = [
    ['no-agent', 503, 'ServiceUnavailable', '5'],
    ['draining', 503, 'ServiceUnavailable', '5'],
    ['owner-unreachable', 503, 'ServiceUnavailable', '5'],
    ['dependency-unavailable', 503, 'ServiceUnavailable', '5'],
    ['agent-lost', 503, 'ServiceUnavailable', '5'],
    ['unknown-account', 404, 'NotFound', undefined],
    ['overloaded', 429, 'TooManyRequests', '1'],
    ['timed-out', 503, 'ServiceUnavailable', '5'],
    ['cancelled', 503, 'ServiceUnavailable', '5'],
    ['unauthenticated', 401, 'Unauthorized', undefined],
    ['permission-denied', 403, 'Forbidden', undefined],
    ['invalid-argument', 400, 'BadRequest', undefined],
    ['too-large', 413, 'RequestEntityTooLarge', undefined],
    ['not-implemented', 501, undefined, undefined],
    ['internal', 500, 'InternalError', undefined],
    ['not-owner', 421, undefined, undefined],
  ];
  for (const [code, status, reason, retryAfter] of rows) {
    const answer = statusAnswer(new GatewayError(code, 'why'), 'GET');
    const body = JSON.parse(answer.body) as StatusBody;
    t.equal(answer.status, status, code);
    t.match(body, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: 'why', code: status });
    t.equal(body.reason, reason, code);
    t.equal(headerOf(answer, 'Retry-After'), retryAfter, code);
    t.equal(body.details?.retryAfterSeconds, retryAfter === undefined ? undefined : Number(retryAfter), code);
  }
  const unknown = statusAnswer(new GatewayError('unknown-account', 'why', { account: 'a/b' }), 'GET');
  t.match(JSON.parse(unknown.body), { details: { name: 'a/b', kind: 'account' } });
  t.equal(headerOf(statusAnswer(new GatewayError('unauthenticated', 'why'), 'GET'), 'WWW-Authenticate'), 'Bearer');
  const later = statusAnswer(new GatewayError('no-agent', 'why', { retryAfterMs: 7_200 }), 'POST');
  t.equal(headerOf(later, 'Retry-After'), '8');
});

test('a change that may have been made is not to be sent again', async (t) => {
  for (const code of ['agent-lost', 'owner-unreachable', 'replaced', 'draining', 'timed-out', 'cancelled'] as const) {
    const lost = statusAnswer(new GatewayError(code, 'why'), 'POST');
    t.same([lost.status, headerOf(lost, 'Retry-After')], [504, undefined], code);
    t.match(JSON.parse(lost.body), { code: 504, reason: 'Timeout' });
    const unsent = statusAnswer(new GatewayError(code, 'why', { unsent: true }), 'POST');
    t.same([unsent.status, headerOf(unsent, 'Retry-After')], [503, '5'], code);
    const reading = statusAnswer(new GatewayError(code, 'why'), 'GET');
    t.same([reading.status, headerOf(reading, 'Retry-After')], [503, '5'], code);
  }
});

const tools = await clusterTools();

test(
  "kubectl prints them as it prints the API server's",
  { skip: typeof tools === 'string' && tools, timeout: 120_000 },
  async (t) => {
    if (typeof tools === 'string') return;
    let respond: (request: IncomingMessage, response: ServerResponse) => void = () => undefined;
    const server = createServer((request, response) => {
      respond(request, response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => server.close());
    const { port } = server.address() as AddressInfo;
    const kubectl = (...args: string[]): Promise<string> =>
      tools
        .kubectl([
          `--server=http://127.0.0.1:${String(port)}`,
          '--kubeconfig=/dev/null',
          `--cache-dir=${t.testdir()}`,
          ...args,
        ])
        .catch((error: unknown) => (error instanceof Error ? error.message : ''));
    const answering = (error: GatewayError) => (request: IncomingMessage, response: ServerResponse) => {
      const { status, headers, body } = statusAnswer(error, request.method ?? '');
      response.writeHead(status, [...headers]).end(body);
    };
    // Written by the API server 1.35 (kubectl get --raw and its own messages).
    const printed: readonly (readonly [ErrorCode, string])[] = [
      ['permission-denied', 'Error from server (Forbidden): why'],
      ['unknown-account', 'Error from server (NotFound): why'],
      ['invalid-argument', 'Error from server (BadRequest): why'],
      ['too-large', 'Error from server (RequestEntityTooLarge): why'],
      ['internal', 'Error from server (InternalError): why'],
      ['not-implemented', 'Error from server: why'],
      ['unauthenticated', 'error: You must be logged in to the server (why)'],
    ];
    for (const [code, text] of printed) {
      respond = answering(new GatewayError(code, 'why', { account: 'a' }));
      t.equal(await kubectl('get', '--raw', '/api/v1/pods'), text, code);
    }
    await t.test('and bridges the loss of an agent', async (t) => {
      let requests = 0;
      respond = (request, response) => {
        requests += 1;
        if (requests === 1) answering(new GatewayError('no-agent', 'why'))(request, response);
        else response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      };
      const began = performance.now();
      t.equal(await kubectl('get', '--raw', '/api/v1/pods'), '{}');
      t.equal(requests, 2);
      t.ok(performance.now() - began > 4_500, 'after the time that we named');
    });
    await t.test('and does not send a change again that may have been made', async (t) => {
      let requests = 0;
      respond = (request, response) => {
        requests += 1;
        answering(new GatewayError('agent-lost', 'why'))(request, response);
      };
      const file = t.testdir({ 'object.json': '{}' });
      t.equal(
        await kubectl('create', '--raw', '/api/v1/pods', '-f', `${file}/object.json`),
        'Error from server (Timeout): why',
      );
      t.equal(requests, 1);
    });
  },
);
