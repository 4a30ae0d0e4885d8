/** What a stock client sees of the agents' port without any .proto file: reflection and health, asked by grpcurl. */

import { test } from 'tap';
import { grpcurl } from '../../services/grpcurl.js';
import { startGateway } from '../running-gateway.js';

const client = await grpcurl();
const skip = typeof client === 'string' ? client : false;

test('grpcurl', { skip }, async (t) => {
  if (typeof client === 'string') return;
  const { agentsAddress } = await startGateway(t);
  const ask = (...args: string[]): Promise<string> => client('-plaintext', ...args);

  await t.test('lists exactly the services of the contract', async (t) => {
    t.same((await ask(agentsAddress, 'list')).trim().split('\n'), [
      'events.Caching',
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
      'kubernetes.Api',
      'ops.Operations',
    ]);
  });

  await t.test('describes them, and the messages they use', async (t) => {
    t.match(
      await ask(agentsAddress, 'describe', 'ops.Operations'),
      /rpc Connect \( stream \.ops\.AgentMessage \) returns \( stream \.ops\.GatewayMessage \);/u,
    );
    t.match(
      await ask(agentsAddress, 'describe', 'events.Caching'),
      /rpc Stream \( stream \.events\.CachingMessage \) returns \( stream \.events\.CachingReply \);/u,
    );
    t.match(
      await ask(agentsAddress, 'describe', 'kubernetes.Api'),
      /rpc Serve \( stream \.kubernetes\.AgentFrames \) returns \( stream \.kubernetes\.GatewayFrames \);/u,
    );
    t.match(await ask(agentsAddress, 'describe', 'ops.Operation'), /\bstring originating_clouddriver_id = 5;/u);
    t.match(await ask(agentsAddress, 'describe', 'ops.Delete'), /\boptional uint32 grace_period_seconds = 4;/u);
    t.match(await ask(agentsAddress, 'describe', 'ops.Account'), /\bmap<string, string> properties = 7;/u);
    t.match(await ask(agentsAddress, 'describe', 'grpc.health.v1.Health'), /rpc Check/u);
  });

  await t.test('health answers for the server and each of its services', async (t) => {
    const check = (service: string): Promise<string> =>
      ask('-d', JSON.stringify({ service }), agentsAddress, 'grpc.health.v1.Health/Check');
    for (const service of ['', 'ops.Operations', 'events.Caching', 'kubernetes.Api'])
      t.match(JSON.parse(await check(service)), { status: 'SERVING' }, service);
    await t.rejects(check('ops.Nothing'), /NotFound/u);
  });

  await t.test('registers as an agent by reflection alone', async (t) => {
    const register = { register: { agent_id: 'by-hand', accounts: [{ name: 'by-hand' }] } };
    const answer = await ask('-d', JSON.stringify(register), agentsAddress, 'ops.Operations/Connect');
    t.match(answer, /"clouddriverId": "gateway-under-test"/u);
  });

  await t.test('a stream of cached objects by an agent that does not have the account', async (t) => {
    const hello = { hello: { agent_id: 'nobody', epoch: 1, accounts: ['by-hand'] } };
    const answer = await ask('-d', JSON.stringify(hello), agentsAddress, 'events.Caching/Stream');
    t.match(answer, /"resume": \{\s+"kinds": \{\s+"kinds": \[\s+"ReplicaSet"/u);
    t.match(answer, /"stop": \{\s+"accounts": \[\s+"by-hand"/u);
  });
});
