/** Bounds: what one agent or caller is too slow or too greedy for does not reach the others, and is refused in words. */

import { test, type Test } from 'tap';
import { waitFor } from '../wait.js';
import { RawAgent } from './raw-agent.js';
import { startGateway, type Answer } from './running-gateway.js';

const queueLimit = 20;
const maxPendingPerAgent = 60;
const maxPending = 100;
const maxPendingBytes = 5 << 20;
/** HTTP/2's default flow-control window takes the first one or two; grpc-js buffers some, the session queues the rest. */
const manifest = Buffer.alloc(40_000, 'x').toString('base64');
const deploy = (account: string) => ({ account, deploy: { manifest } });
const pod = (account: string) => ({ account, get: { object: { kind: 'Pod', name: 'web' } } });

function isOverloaded(t: Test, answer: Answer, detail: RegExp): void {
  t.equal(answer.status, 429);
  t.match(answer.headers.get('retry-after'), /^[1-9]\d*$/u);
  t.match(answer.body, { type: 'urn:agent-gateway:problem:overloaded', status: 429, detail });
}

test('overload', async (t) => {
  const gateway = await startGateway(t, {
    'kubesvc.operations.agentQueueLimit': queueLimit,
    'kubesvc.operations.maxPendingPerAgent': maxPendingPerAgent,
    'kubesvc.operations.maxPending': maxPending,
    'kubesvc.operations.maxPendingBytes': maxPendingBytes,
  });
  const register = (agentId: string): Promise<RawAgent> =>
    RawAgent.register(t, gateway.agentsAddress, { agentId, accounts: [{ name: agentId }] });
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`${gateway.restUrl}/metrics`)).text();
    return Number(new RegExp(`^${name} (.*)$`, 'mu').exec(text)?.[1]);
  };

  await t.test('an agent that does not read fills its own queue and delays nobody else', async (t) => {
    const [stuck, well] = [await register('stuck'), await register('well')];
    await stuck.next('caching');
    stuck.pause();
    let taken = 0;
    let refused: Answer | undefined;
    while (refused === undefined && taken <= maxPendingPerAgent) {
      const answer = await gateway.operate(deploy('stuck'), 'wait=0');
      if (answer.status === 202) taken += 1;
      else refused = answer;
    }
    isOverloaded(t, refused!, /^agent stuck is not reading its stream; try again later$/u);
    t.ok(taken >= queueLimit && taken < maxPendingPerAgent, `${taken} were taken before`);

    const started = performance.now();
    for (let n = 0; n < 20; n += 1) {
      const answering = gateway.operate(pod('well'));
      const { id } = await waitFor(() => well.all('operation')[n]);
      well.send({ case: 'result', value: { operationId: id, status: 200 } });
      t.equal((await answering).status, 200);
    }
    const eachMs = (performance.now() - started) / 20;
    t.ok(eachMs < 1_000, `each of the other agent's operations took ${eachMs.toFixed(1)} ms`);

    stuck.resume();
    await waitFor(() => stuck.all('operation').length === taken, { description: 'what was queued' });
    const ids = stuck.all('operation').map(({ id }) => id);
    t.same(ids, ids.toSorted(), 'in the order in which they were sent');
    for (const operationId of ids) stuck.send({ case: 'result', value: { operationId, status: 200 } });
    await waitFor(() => stuck.all('receipt').length === taken, { description: 'every receipt' });
    const again = gateway.operate(pod('stuck'));
    const { id } = await stuck.next('operation', (operation) => !ids.includes(operation.id));
    stuck.send({ case: 'result', value: { operationId: id, status: 200 } });
    t.equal((await again).status, 200, 'it is served again');
    stuck.close();
    well.close();
  });

  await t.test('large operations under way are bounded by their bytes', async (t) => {
    const large = await register('large');
    const operation = { account: 'large', deploy: { manifest: Buffer.alloc(1_500_000, 'x').toString('base64') } };
    for (let n = 0; n < 3; n += 1) t.equal((await gateway.operate(operation, 'wait=0')).status, 202);
    isOverloaded(
      t,
      await gateway.operate(operation),
      /^operations of 45\d{5} bytes are under way on this instance; try again later$/u,
    );
    await waitFor(() => large.all('operation').length === 3);
    for (const { id } of large.all('operation'))
      large.send({ case: 'result', value: { operationId: id, status: 200 } });
    await waitFor(() => large.all('receipt').length === 3);
    t.equal((await gateway.operate(operation, 'wait=0')).status, 202, 'answers make room');
    const { id } = await waitFor(() => large.all('operation')[3]);
    large.send({ case: 'result', value: { operationId: id, status: 200 } });
    await waitFor(() => large.all('receipt').length === 4);
    large.close();
  });

  await t.test('an agent has a bounded number of operations under way', async (t) => {
    const busy = await register('busy');
    for (let n = 0; n < maxPendingPerAgent; n += 1)
      t.equal((await gateway.operate(pod('busy'), 'wait=0')).status, 202, { diagnostic: false });
    isOverloaded(t, await gateway.operate(pod('busy')), /^agent busy has 60 operations under way; try again later$/u);
    const [first] = busy.all('operation');
    busy.send({ case: 'result', value: { operationId: first!.id, status: 200 } });
    await busy.next('receipt');
    t.equal((await gateway.operate(pod('busy'), 'wait=0')).status, 202, 'an answer makes room');
  });

  await t.test('an instance has a bounded number of operations under way', async (t) => {
    const other = await register('other');
    const pending = await metric('agent_gateway_operations_pending');
    t.equal(pending, maxPendingPerAgent, 'those of the busy agent');
    for (let n = pending; n < maxPending; n += 1) await gateway.operate(pod('other'), 'wait=0');
    isOverloaded(
      t,
      await gateway.operate(pod('other')),
      /^100 operations are under way on this instance; try again later$/u,
    );
    t.equal(other.all('operation').length, maxPending - pending, 'the refused one was not sent');
    for (const { id } of other.all('operation'))
      other.send({ case: 'result', value: { operationId: id, status: 200 } });
    await waitFor(async () => (await metric('agent_gateway_operations_pending')) === pending);
    t.equal((await gateway.operate(pod('other'), 'wait=0')).status, 202, 'answers make room');
  });
});
