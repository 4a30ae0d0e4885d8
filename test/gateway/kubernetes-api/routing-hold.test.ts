/** What a request is told that finds no owner. */

import { test } from 'tap';
import { unlessAborted } from '../../../src/core/deadline.js';
import { GatewayError } from '../../../src/core/errors.js';
import { ApiRouting, type ApiRoutingOptions } from '../../../src/gateway/kubernetes-api/routing.js';
import { statusAnswer } from '../../../src/gateway/kubernetes-api/status.js';
import { aRequest, Told } from '../../tunnel/tunnel-pair.js';
import { waitFor } from '../../wait.js';

const owners = {
  account: 'a',
  version: 1,
  assignments: [{ agentId: 'agent-1', instanceId: 'gateway-2', epoch: 1, caching: true }],
} as unknown as Awaited<ReturnType<ApiRoutingOptions['ownership']['refresh']>>;
const peer = { id: 'gateway-2', baseUrl: 'http://gateway-2', ready: true, lastUpdated: 0 };
const onChange = () => () => true;
const exchange = { write: () => true, end: () => undefined, consumed: () => undefined, cancel: () => undefined };

function route(options: Partial<ApiRoutingOptions>): Told {
  const routing = new ApiRouting({
    instanceId: 'gateway-1',
    ownership: { resolve: () => owners, refresh: () => Promise.resolve(owners), onChange },
    registry: { sessionFor: () => undefined },
    discovery: { instance: () => peer },
    toAgent: () => exchange,
    toPeer: () => exchange,
    holdMs: 200,
    forgetMs: 600_000,
    stopping: new AbortController().signal,
    ...options,
  });
  const told = new Told();
  routing.start({ ...aRequest, lasting: false }, { complete: true }, told, () => undefined);
  return told;
}

test('an owner that says it is none, until the hold is over', async (t) => {
  let asked = 0;
  const told = route({
    toPeer: (_peer, _request, _first, events) => {
      asked += 1;
      process.nextTick(() => events.onFailed(new GatewayError('not-owner', 'not here', { unsent: true })));
      return exchange;
    },
  });
  const failure = await waitFor(() => told.failure);
  t.ok(asked > 2, `asked ${String(asked)} times`);
  t.match(failure, { code: 'no-agent', details: { unsent: true } }, 'a caller is not told 421');
  t.match(statusAnswer(failure, 'POST'), { status: 503 });
});

test('a silent owner is not sent anything, and the request may be sent again', async (t) => {
  const told = route({
    toPeer: () => {
      throw new GatewayError('owner-unreachable', 'it has fallen silent');
    },
  });
  const failure = await waitFor(() => told.failure);
  t.match(failure, { code: 'owner-unreachable', details: { unsent: true } });
});

test('SQL that hangs is no answer either: 503 for a change as well, since it was not sent', async (t) => {
  const hanging = { resolve: () => undefined, onChange };
  const told = route({
    ownership: { ...hanging, refresh: () => Promise.reject(new GatewayError('timed-out', 'it took too long')) },
  });
  const failure = await waitFor(() => told.failure);
  t.match(failure, { code: 'timed-out', details: { unsent: true } });
  t.match(statusAnswer(failure, 'POST'), { status: 503 });
});

test('the gateway stops while an owner is looked for', async (t) => {
  const stopping = new AbortController();
  const told = route({
    ownership: {
      resolve: () => undefined,
      refresh: (_account, signal) => unlessAborted(new Promise(() => undefined), signal),
      onChange,
    },
    stopping: stopping.signal,
  });
  stopping.abort(new GatewayError('draining', 'stopping'));
  t.match(await waitFor(() => told.failure), { code: 'draining', details: { unsent: true } });
});
