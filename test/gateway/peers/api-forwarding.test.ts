/** Requests of the Kubernetes API to another replica: what it proves, and how its errors and an older release are told. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'tap';
import {
  ApiForwarding,
  errorHeader,
  errorTextHeader,
  forwardedAnswerHeader,
  headDigest,
  unsentHeader,
} from '../../../src/gateway/peers/api-forwarding.js';
import { InstanceTokens } from '../../../src/gateway/peers/instance-tokens.js';
import type { GatewayError } from '../../../src/core/errors.js';
import { waitFor } from '../../wait.js';

const secrets = [Buffer.from('a secret of at least thirty-two characters')];
const tokensOf = (instanceId: string) => new InstanceTokens({ instanceId, secrets: () => secrets, now: Date.now });
const known = { [forwardedAnswerHeader]: 'true' };

/** A peer that answers each request so, and what was seen. */
async function ask(
  t: { teardown(release: () => unknown): unknown },
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  headers: readonly string[] = [],
) {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await waitFor(() => server.listening);
  const address = { id: 'peer', baseUrl: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}` };
  const forwarding = new ApiForwarding({
    address,
    instanceId: 'entry',
    tls: () => ({}),
    sign: (receiver, call) => tokensOf('entry').sign(receiver, call),
  });
  t.teardown(() => forwarding.close());
  const told: { status?: number; failure?: GatewayError } = {};
  forwarding.start(
    {
      account: 'a/b',
      method: 'GET',
      target: '/api/v1/pods?limit=1',
      headers,
      upgrade: '',

      lasting: false,
    },
    { complete: true },
    {
      onResponse: ({ status }) => (told.status = status),
      onData: () => undefined,
      onEnd: () => undefined,
      onDrain: () => undefined,
      onFailed: (failure) => (told.failure = failure),
    },
  );
  await waitFor(() => told.status !== undefined || told.failure !== undefined);
  return { told, requests, address };
}

test('the peer gets the same path, and a token for exactly this head', async (t) => {
  const headers = ['Accept', 'application/json', 'Impersonate-User', 'ann', 'impersonate-group', 'dev'];
  const { told, requests } = await ask(t, (_request, response) => response.writeHead(200, known).end('{}'), headers);
  t.equal(told.status, 200);
  const [request] = requests;
  t.equal(request?.url, '/kubernetes/accounts/a%2Fb/api/v1/pods?limit=1');
  const token = String(request?.headers['x-agent-gateway-instance']);
  const call = { method: 'GET', path: request?.url ?? '' };
  const { instanceId, bodyDigest } = tokensOf('peer').verify(token, call);
  t.equal(instanceId, 'entry');
  t.equal(bodyDigest, headDigest(request?.rawHeaders ?? []), 'it covers as whom the caller is seen');
  t.not(bodyDigest, headDigest(['Impersonate-User', 'root']));
});

test("the owner's own errors are told as they are, an API server's answers are passed on", async (t) => {
  const own = await ask(t, (_request, response) => {
    const fields = { ...known, [errorHeader]: 'not-owner', [errorTextHeader]: 'moved%20on', [unsentHeader]: 'true' };
    response.writeHead(421, fields).end('{}');
  });
  t.match(own.told.failure, { code: 'not-owner', message: 'moved on', details: { instanceId: 'peer', unsent: true } });
  const strange = await ask(t, (_request, response) => {
    response.writeHead(500, { ...known, [errorHeader]: 'of-a-newer-release', [errorTextHeader]: '%' }).end('{}');
  });
  t.match(strange.told.failure, { code: 'internal', message: '%', details: { unsent: false } });
  const passed = await ask(t, (_request, response) => response.writeHead(421, known).end('{}'));
  t.equal(passed.told.status, 421);
});

test('a replica of an older release is told apart from an API server that answers 404', async (t) => {
  const { told, address } = await ask(t, (_request, response) => {
    response.writeHead(404, { 'content-type': 'application/problem+json' }).end('{"title":"no route"}');
  });
  t.match(told.failure, { code: 'not-implemented', details: { unsent: true, instanceId: address.id } });
});

test('a peer that refuses this instance is as good as none: its caller was let in', async (t) => {
  for (const code of ['permission-denied', 'unauthenticated']) {
    const fields = { ...known, [errorHeader]: code, [errorTextHeader]: 'not%20a%20call', [unsentHeader]: 'true' };
    const { told } = await ask(t, (_request, response) => response.writeHead(403, fields).end('{}'));
    t.match(told.failure, {
      code: 'owner-unreachable',
      message: /peer refuses .*: not a call/u,
      details: { unsent: true },
    });
  }
});
