/** The description of the API: valid, with examples that are right, and readable at /docs over both versions of HTTP. */

import { once } from 'node:events';
import { connect } from 'node:http2';
import { Validator } from '@seriousme/openapi-schema-validator';
import { test } from 'tap';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { startGateway } from '../running-gateway.js';

type Json = Readonly<Record<string, unknown>>;

interface Example {
  readonly where: string;
  readonly schema: Json;
  readonly example: unknown;
}

const httpMethods = ['get', 'post', 'put', 'patch', 'delete'];

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Every example below `value`: of a schema, of a parameter or of a body. */
function* examplesIn(value: unknown, where: string): Generator<Example> {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* examplesIn(item, `${where}/${String(index)}`);
  }
  if (!isObject(value)) return;
  const { schema, example, examples } = value;
  if (Array.isArray(examples)) for (const each of examples) yield { where, schema: value, example: each };
  if (isObject(schema)) {
    if (example !== undefined) yield { where, schema, example };
    if (isObject(examples))
      for (const each of Object.values(examples)) yield { where, schema, example: (each as Json)['value'] };
  }
  for (const [name, item] of Object.entries(value))
    if (name !== 'examples' && name !== 'example') yield* examplesIn(item, `${where}/${name}`);
}

test('the OpenAPI document', async (t) => {
  const gateway = await startGateway(t);
  const { body: document } = await gateway.request('/openapi.json');
  const { valid, errors } = await new Validator().validate(structuredClone(document));
  t.ok(valid, JSON.stringify(errors));

  const paths = document['paths'] as Readonly<Record<string, Readonly<Record<string, Json>>>>;
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([method]) => httpMethods.includes(method))
      .map(([method, route]) => ({ name: `${method.toUpperCase()} ${path}`, route })),
  );
  const ids = routes.map(({ route }) => route['operationId']);
  t.equal(new Set(ids).size, routes.length, 'every route has an id of its own');
  for (const expected of [
    ...['GET /armory/clouddrivers', 'GET /armory/clouddrivers/{id}', 'GET /armory/clouddrivers/sql/pool/settings'],
    ...['GET /armory/agents', 'GET /armory/agents/{agentId}', 'POST /armory/agent/{agentId}/disconnect'],
    ...['POST /armory/agent/operations', 'GET /armory/agent/operations', 'GET /armory/agent/operations/{operationId}'],
    ...['POST /armory/agent/operationresults', 'POST /armory/agent/operations/database'],
    ...['GET /armory/attention', 'DELETE /armory/agents/{agentId}', 'DELETE /armory/clouddrivers/{id}'],
    ...['POST /armory/agent/assignments', 'GET /healthz', 'GET /readyz', 'GET /metrics'],
  ])
    t.ok(
      routes.some(({ name }) => name === expected),
      expected,
    );
  for (const { name, route } of routes) {
    t.ok(typeof route['summary'] === 'string', `${name} says what it is for`);
    const { parameters = [] } = route as { parameters?: readonly Json[] };
    for (const parameter of parameters)
      if (parameter['in'] === 'path') t.ok([...examplesIn(parameter, '')].length > 0, `${name}: a parameter's example`);
    const bodies = [route['requestBody'], ...Object.values((route['responses'] ?? {}) as Json)];
    for (const body of bodies) {
      const json = (body as { content?: Json } | undefined)?.content?.['application/json'];
      if (json !== undefined) t.ok([...examplesIn(json, '')].length > 0, `${name} has examples`);
    }
  }
  for (const { name, route } of routes) {
    for (const [status, response] of Object.entries((route['responses'] ?? {}) as Readonly<Record<string, Json>>)) {
      const problem = (response['content'] as Json | undefined)?.['application/problem+json'];
      for (const { example } of examplesIn(problem, ''))
        if (isObject(example))
          t.equal(String(example['status']), status, `${name} ${status}: the example has this status`);
    }
  }
  const { securitySchemes } = document['components'] as Json;
  t.match(securitySchemes, { bearer: { type: 'http', scheme: 'bearer' } }, 'the page has an Authorize button');
  t.same(document['security'], [{ bearer: [] }, {}]);
  t.same(paths['/healthz']?.['get']?.['security'], [], 'a probe needs no token');
  t.same((await gateway.request('/docs/json')).body, document, '/docs shows the same document');
  for (const { where, schema, example } of examplesIn(paths, ''))
    t.ok(Value.Check(schema as TSchema, example), `${where}: ${JSON.stringify(example).slice(0, 80)}`);
});

test('the page of the API', async (t) => {
  const gateway = await startGateway(t);
  const session = connect(gateway.restUrl);
  t.teardown(() => {
    session.destroy();
  });
  const overHttp2 = async (path: string): Promise<string> => {
    const stream = session.request({ ':path': path });
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    await once(stream, 'end', { signal: AbortSignal.timeout(120_000) });
    return text;
  };
  const overHttp1 = async (path: string) => fetch(gateway.restUrl + path, { signal: AbortSignal.timeout(120_000) });
  const page = await overHttp1('/docs/');
  t.equal(page.status, 200);
  const policy = page.headers.get('content-security-policy') ?? '';
  t.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; /u);
  t.notMatch(policy, /unsafe|https?:/u);
  const html = await page.text();
  t.equal(await overHttp2('/docs/'), html);
  const assets = [...html.matchAll(/(?:src|href)="([^"]+)"/gu)].map(([, asset = '']) => asset);
  t.ok(assets.length > 3);
  for (const asset of assets) {
    t.match(asset, /^\.\/static\//u, 'it is served from here');
    const { status, headers } = await overHttp1(`/docs/${asset}`);
    t.equal(status, 200, asset);
    t.equal(headers.get('content-security-policy'), policy);
  }
  t.notMatch(html, /<script(?! src)/u, 'no script is in the page itself');
  const described = await overHttp2('/docs/json');
  t.same(JSON.parse(described), (await gateway.request('/openapi.json')).body);
});

test('a method that a path does not have', async (t) => {
  const gateway = await startGateway(t);
  for (const [method, path, allow] of [
    ['DELETE', '/armory/agent/operations', 'GET, HEAD, POST'],
    ['POST', '/armory/agents/some', 'DELETE, GET, HEAD'],
    ['GET', '/armory/agent/some/disconnect', 'POST'],
    ['PUT', '/armory/agent/assignments', 'POST'],
  ] as const) {
    const { status, headers, body } = await gateway.request(path, { method });
    t.equal(status, 405, `${method} ${path}`);
    t.equal(headers.get('allow'), allow);
    t.match(body, { type: 'urn:agent-gateway:problem:invalid-argument', status: 405 });
  }
});
