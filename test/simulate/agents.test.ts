import { createHash } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { test } from 'tap';
import type { Execution } from '../../src/agent/operation-results.js';
import {
  OperationResultSchema,
  OperationSchema,
  type Operation,
  type OperationResult,
} from '../../src/protocol/generated/ops/operations_pb.js';
import { simulatedExecute, startSimulatedAgents } from '../../src/simulate/agents.js';
import { requestKinds } from '../../src/simulate/request-kinds.js';
import { startGatewayDouble } from '../agent/gateway-double.js';
import { waitFor } from '../wait.js';

const context = { signal: new AbortController().signal };

function operation(request: Operation['request'] = create(OperationSchema).request, id = 'op'): Operation {
  return create(OperationSchema, { id, account: 'sim-0-0', request });
}

/** What a gateway would read of an execution. */
function transmitted(execution: Execution): OperationResult {
  const { status, message = '', reason = '', body = { case: undefined } } = execution;
  const result = create(OperationResultSchema, { status, message, reason, body });
  return fromBinary(OperationResultSchema, toBinary(OperationResultSchema, result));
}

const get: Operation['request'] = {
  case: 'get',
  value: {
    $typeName: 'ops.Get',
    object: { $typeName: 'ops.ObjectReference', apiVersion: 'v1', kind: 'Pod', namespace: 'ns', name: 'web-0' },
  },
};

/** Statuses and contents of 200 operations, short enough to compare. */
async function answers(seed: number, agent: number): Promise<{ statuses: number[]; digest: string }> {
  const execute = simulatedExecute({ seed, failureRate: 0.3 }, agent);
  const digest = createHash('sha256');
  const statuses: number[] = [];
  for (let index = 0; index < 200; index += 1) {
    const result = transmitted(await execute(operation(get), context));
    statuses.push(result.status);
    digest.update(toBinary(OperationResultSchema, result));
  }
  return { statuses, digest: digest.digest('hex') };
}

test('the same seed gives the same answers; another seed or agent gives others', async (t) => {
  const first = await answers(1, 0);
  t.same(await answers(1, 0), first);
  t.not((await answers(2, 0)).digest, first.digest);
  t.not((await answers(1, 1)).digest, first.digest);
  const failed = first.statuses.filter((status) => status >= 300).length;
  t.ok(failed > 35 && failed < 85, `${failed} of 200 failed at a rate of 0.3`);
});

test('every kind of request is answered with what it asks for', async (t) => {
  const execute = simulatedExecute({ resultBytes: 3_000 }, 0);
  const object = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'ns', name: 'web' };
  const manifest = new TextEncoder().encode('{"kind":"Deployment"}');
  for (const kind of requestKinds) {
    const field = OperationSchema.field[kind];
    t.ok(field, kind);
    const value = ['deploy', 'runJob'].includes(kind) ? { manifest } : kind === 'accessReview' ? {} : { object };
    const sent = create(OperationSchema, { request: { case: kind, value } as never });
    const result = transmitted(await execute(sent, context));
    t.equal(result.status, 200, kind);
    if (result.body.case === 'objects' && kind !== 'delete') {
      const objects = result.body.value.manifests.map((bytes) => JSON.parse(new TextDecoder().decode(bytes)) as object);
      t.match(objects[0], { kind: 'Deployment' }, kind);
    } else if (kind === 'logs') {
      t.ok(result.body.case === 'logs' && result.body.value.text.byteLength >= 3_000);
    }
  }
  const found = transmitted(await execute(operation(get), context));
  t.equal(found.body.case, 'objects');
  if (found.body.case !== 'objects') return;
  const [bytes = new Uint8Array()] = found.body.value.manifests;
  t.ok(bytes.byteLength >= 3_000 && bytes.byteLength < 3_100, `${bytes.byteLength} bytes`);
  t.match(JSON.parse(new TextDecoder().decode(bytes)), { kind: 'Pod', metadata: { name: 'web-0', namespace: 'ns' } });
  t.match(await execute(operation(), context), { status: 400 });
});

test('agents register with predictable names, execute, count, and stop', async (t) => {
  const gateway = await startGatewayDouble({ onResult: (stream, { operationId }) => stream.receipt(operationId) });
  t.teardown(() => gateway.stop());
  const agents = await startSimulatedAgents({ addresses: [gateway.address], agents: 3, accounts: 2 });
  t.teardown(() => agents.stop());
  await agents.ready(AbortSignal.timeout(120_000));
  t.same(agents.accounts, ['sim-0-0', 'sim-0-1', 'sim-1-0', 'sim-1-1', 'sim-2-0', 'sim-2-1']);
  const registered = gateway.streams.map(({ registration }) => registration?.agentId).sort();
  t.same(registered, ['sim-agent-0', 'sim-agent-1', 'sim-agent-2']);
  for (const stream of gateway.streams) stream.operation({ id: 'op', request: get });
  await waitFor(() => gateway.streams.every((stream) => stream.results('op').length === 1));
  gateway.streams[0]?.send({ case: 'caching', value: { start: ['sim-0-0', 'sim-0-1'] } });
  await waitFor(() => agents.stats().caching === 2);
  t.same(agents.stats(), {
    agents: 3,
    connected: 3,
    executed: 3,
    failed: 0,
    caching: 2,
    dynamicAccounts: 0,
    sentObjects: 0,
  });
  await agents.stop({ drainMs: 1_000 });
  t.equal(agents.stats().connected, 0);
  t.ok(gateway.streams.every(({ ended }) => ended));
});

test('ready() gives up with its signal', async (t) => {
  const gateway = await startGatewayDouble({ onRegister: () => undefined });
  t.teardown(() => gateway.stop());
  const agents = await startSimulatedAgents({ addresses: [gateway.address], agents: 1, accounts: 1 });
  t.teardown(() => agents.stop());
  await t.rejects(agents.ready(AbortSignal.timeout(30)), { name: 'TimeoutError' });
});
