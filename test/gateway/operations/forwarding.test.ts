/**
 * What has to hold when the replica that a caller asks is not the one that holds the agent's stream. Agents are raw
 * streams, each on a replica that the test chooses.
 */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { status } from '@grpc/grpc-js';
import { Redis } from 'ioredis';
import { test, type Test } from 'tap';
import { silentLogger } from '../../../src/core/logger.js';
import { RedisDiscovery } from '../../../src/discovery/redis.js';
import {
  OperationResultSchema,
  OperationSchema,
  ResultReceipt_Outcome,
} from '../../../src/protocol/generated/ops/operations_pb.js';
import { readDelimited, writeDelimited } from '../../../src/protocol/delimited.js';
import { startCluster } from '../../cluster/cluster.js';
import type { OperationAnswer, Replica } from '../../cluster/replica.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';

const unknownId = '01ARZ3NDEKTSV4RRFFQ69G5FAX';
const scale = (account: string, replicas = 1) => ({
  account,
  scale: { object: { kind: 'Deployment', name: 'web' }, replicas },
});

/** The fields of a message that nobody here knows: number -> varint or text. */
function unknownFields(bytes: Uint8Array): Record<number, number | string> {
  const fields: Record<number, number | string> = {};
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field < 900) reader.skip(wireType, field);
    else fields[field] = wireType === WireType.Varint ? reader.uint32() : reader.string();
  }
  return fields;
}

/** The message that the one field of an enclosing message holds. */
function inner(bytes: Uint8Array): Uint8Array {
  const reader = new BinaryReader(bytes);
  reader.tag();
  return reader.bytes();
}

/** A member of the cluster that is no replica: it keeps the results that it is brought. */
async function startObserver(t: Test, redisUrl: string) {
  const results: { readonly contentType: string | undefined; readonly body: Buffer }[] = [];
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      const contentType = request.headers['content-type'];
      const bodies = readDelimited(body, 'ops.OperationResult').map((each) => ({
        contentType,
        body: Buffer.from(each),
      }));
      results.push(...bodies);
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(bodies.map(() => ({}))));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const id = 'observer';
  const redis = new Redis(redisUrl);
  const self = { id, baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  const discovery = new RedisDiscovery({ self, redis, logger: silentLogger, prefix: 'kubesvc:' });
  t.teardown(async () => {
    await discovery.stop();
    redis.disconnect();
    server.closeAllConnections();
    server.close();
  });
  await discovery.start(AbortSignal.timeout(120_000));
  discovery.setReady(true);
  return { id, results };
}

test('forwarding', async (t) => {
  const { replicas, redis } = await startCluster(t);
  const [asked, owner, third] = replicas as readonly [Replica, Replica, Replica];
  const registered = (replica: Replica, name: string): Promise<RawAgent> =>
    RawAgent.register(t, replica.agentsAddress, {
      agentId: name,
      processId: `process-of-${name}`,
      accounts: [{ name }],
    });
  const post = async (replica: Replica, path: string, body: unknown): Promise<number> => {
    const headers = { 'content-type': 'application/json' };
    const signal = AbortSignal.timeout(120_000);
    return (await fetch(replica.restUrl + path, { method: 'POST', headers, body: JSON.stringify(body), signal }))
      .status;
  };

  await t.test('fields that nobody knows reach the agent, and the caller', async (t) => {
    for (const from of replicas) {
      const name = `unknown-${from.id}`;
      const agent = await registered(owner, name);
      const answering = from.operate(`account: "${name}" get { object { kind: "Pod" 901: "in" } } 900: 7 902: "out"`);
      const { id } = await agent.next('operation');
      const frame = agent.frames.find((bytes) => Buffer.from(bytes).includes(id)) ?? new Uint8Array();
      t.same(unknownFields(inner(frame)), { 900: 7, 902: 'out' }, 'in the operation');
      t.ok(Buffer.from(frame).includes('in'), 'and inside the request');
      agent.send({ case: 'result', value: { operationId: id, status: 200 } });
      t.equal((await answering).status, 200, from.id);
    }
  });

  await t.test('between replicas, operations and results are the bytes that came', async (t) => {
    const observer = await startObserver(t, redis.url);
    await waitFor(async () => JSON.stringify(await owner.get('/armory/clouddrivers')).includes(observer.id));
    const agent = await registered(owner, 'observed');
    const operation = toBinary(
      OperationSchema,
      create(OperationSchema, {
        ...{ id: unknownId, account: 'observed', originatingClouddriverId: observer.id, timeoutMs: 20_000 },
        request: { case: 'get', value: { object: { kind: 'Pod' } } },
        $unknown: [{ no: 900, wireType: WireType.Varint, data: new Uint8Array([7]) }],
      }),
    );
    const answer = await fetch(`${owner.restUrl}/armory/agent/operations`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-protobuf', 'x-agent-gateway-forwarded-by': observer.id },
      body: writeDelimited([operation]),
    });
    t.equal(answer.status, 200);
    t.match(await answer.json(), [{ agentId: 'observed', epoch: Number, processedTime: Number, sentTime: Number }]);
    await agent.next('operation');
    const frame = agent.frames.find((bytes) => Buffer.from(bytes).includes(unknownId)) ?? new Uint8Array();
    t.same(Buffer.from(inner(frame)), Buffer.from(operation), 'the operation');

    // OperationResult { operation_id (1), status (3) = 200, 900 = 8, 903 = "back" } in AgentMessage.result (4).
    const known = [0x0a, unknownId.length, ...Buffer.from(unknownId), 0x18, 0xc8, 0x01];
    const result = [...known, 0xa0, 0x38, 8, 0xba, 0x38, 4, ...Buffer.from('back')];
    agent.sendBytes(Buffer.from([0x22, result.length, ...result]));
    const { contentType, body } = await waitFor(() => observer.results[0], {
      description: 'the result at the originator',
    });
    t.equal(contentType, 'application/x-protobuf');
    t.same(body.subarray(0, result.length), Buffer.from(result), 'the result');
    t.same(unknownFields(body), { 900: 8, 903: 'back' });
    const { route } = fromBinary(OperationResultSchema, body);
    t.match(route, { processedByClouddriverId: owner.id, answeredByAgentId: 'observed' }, 'and its way behind it');
    t.match(await agent.next('receipt'), { operationId: unknownId, outcome: ResultReceipt_Outcome.RECORDED });
  });

  await t.test('an operation id that was used on another replica', async (t) => {
    const agent = await registered(owner, 'repeated');
    const id = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
    const submit = (replica: Replica, replicasWanted: number, prefer?: string): Promise<OperationAnswer> =>
      replica.operate({ id, ...scale('repeated', replicasWanted) }, prefer);
    const conflict = async (replica: Replica): Promise<void> => {
      const { status: code, body } = await submit(replica, 2);
      t.match(
        { code, ...body },
        { code: 409, type: 'urn:agent-gateway:problem:operation-conflict', detail: /already used/u },
      );
    };
    const first = submit(asked, 1);
    await agent.next('operation');
    for (const replica of replicas) await conflict(replica);
    const others = [submit(owner, 1), submit(third, 1)];
    t.equal((await submit(third, 1, 'wait=0')).status, 202);
    agent.send({ case: 'result', value: { operationId: id, account: 'repeated', status: 200, message: 'scaled' } });
    for (const answer of await Promise.all([first, ...others])) {
      t.equal(answer.status, 200);
      t.match(answer.body.result, { operationId: id, status: 200, message: 'scaled' });
    }
    for (const replica of replicas) {
      await conflict(replica);
      const again = await submit(replica, 1);
      t.equal(again.status, 200, 'after it has ended');
      t.match(again.body.result, { operationId: id, status: 200, message: 'scaled' });
    }
    t.equal(agent.all('operation').length, 1, 'the agent was sent it once');
  });

  await t.test('an oversized result fails its operation alone, on the way to another replica', async (t) => {
    const agent = await registered(owner, 'large');
    const answering = asked.operate(scale('large'));
    const { id } = await agent.next('operation');
    const text = new Uint8Array(5 << 20);
    agent.send({ case: 'result', value: { operationId: id, status: 200, body: { case: 'logs', value: { text } } } });
    t.match((await answering).body.result, { status: 413, reason: 'RESOURCE_EXHAUSTED', account: 'large' });
    t.match(await agent.next('receipt'), { operationId: id, outcome: ResultReceipt_Outcome.TOO_LARGE });
    const record = await third.get(`/armory/agent/operations/${id}`);
    t.match(record, { finalOutcome: 'failed', resultReceivedFromAgent: { result: { status: 413 } } });
    const next = asked.operate(scale('large'));
    const { id: nextId } = await agent.next('operation', (operation) => operation.id !== id);
    agent.send({ case: 'result', value: { operationId: nextId, status: 200 } });
    t.match((await next).body.result, { status: 200 });
  });

  await t.test('an agent that connects to another replica is served there alone', async (t) => {
    const older = await registered(owner, 'moving');
    const newer = await registered(third, 'moving');
    t.match(await older.ended(), {
      code: status.ABORTED,
      details: 'a newer connection of agent moving has registered',
    });
    older.close();
    const answering = asked.operate(scale('moving'));
    const { id } = await newer.next('operation');
    newer.send({ case: 'result', value: { operationId: id, status: 200 } });
    t.equal((await answering).status, 200);
    for (const replica of replicas)
      t.match(await replica.get('/armory/agents/moving'), {
        clouddriverId: third.id,
        accounts: ['moving'],
        caching: true,
      });
  });

  await t.test('an operation under way follows its agent to another replica', async (t) => {
    const older = await registered(owner, 'following');
    const answering = asked.operate(scale('following'));
    const { id } = await older.next('operation');
    const newer = await registered(third, 'following');
    // It is sent again, and an agent executes an id once: this one answers with what it kept.
    await newer.next('operation', (operation) => operation.id === id);
    newer.send({ case: 'result', value: { operationId: id, account: 'following', status: 200, message: 'kept' } });
    t.match((await answering).body.result, { operationId: id, status: 200, message: 'kept' });
  });

  await t.test('a result by hand finishes an operation wherever it waits, once', async (t) => {
    const agent = await registered(owner, 'by-hand');
    const answering = asked.operate(scale('by-hand'));
    const { id } = await agent.next('operation');
    const body = { result: `operation_id: "${id}" status: 200 message: "by hand"` };
    t.equal(await post(third, '/armory/agent/operationresults', body), 200);
    t.match((await answering).body.result, { status: 200, message: 'by hand' });
    for (const replica of replicas) t.equal(await post(replica, '/armory/agent/operationresults', body), 409);
    agent.send({ case: 'result', value: { operationId: id, account: 'by-hand', status: 500, message: 'late' } });
    t.equal((await agent.next('receipt')).outcome, ResultReceipt_Outcome.RECORDED, 'the agent may forget its own');
    t.match(await owner.get(`/armory/agent/operations/${id}`), { finalOutcome: 'completed', message: 'by hand' });
  });

  await t.test('refusals of the owner reach the caller', async (t) => {
    const agent = await registered(owner, 'leaving');
    agent.finish();
    const answer = await waitFor(async () => {
      const refused = await asked.operate(scale('leaving'), 'wait=0');
      return refused.status === 202 ? undefined : refused;
    });
    t.equal(answer.status, 503);
    t.match(answer.headers.get('retry-after'), /^\d+$/u);
    t.match(answer.body, { type: 'urn:agent-gateway:problem:no-agent' });
    for (const replica of replicas) t.equal((await replica.operate(scale('nobody'))).status, 404);
  });
});
