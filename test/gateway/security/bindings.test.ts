/**
 * Agents that are let in and reach for what is another one's: its accounts, its id, its operations, its objects, its zone.
 * Each attack is shown to work where nobody has to prove anything, and to be refused where everybody has to.
 */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, credentials, Metadata, status, type StatusObject } from '@grpc/grpc-js';
import { test, type Test } from 'tap';
import {
  CachingMessageSchema,
  CachingReplySchema,
  type CachingReply,
} from '../../../src/protocol/generated/events/caching_pb.js';
import { ResultReceipt_Outcome } from '../../../src/protocol/generated/ops/operations_pb.js';
import { freePort } from '../../free-port.js';
import { mariaDbDatabase } from '../../services/databases.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway, type RunningGateway } from '../running-gateway.js';
import { metric } from './honest-agent.js';

const digest = (token: string): string => createHash('sha256').update(token).digest('hex');

function dial(t: Test, { agentsAddress }: RunningGateway, token: string): RawAgent {
  const agent = new RawAgent(agentsAddress, undefined, {}, `Bearer ${token}`);
  t.teardown(() => agent.close());
  return agent;
}

interface Registration {
  readonly agentId: string;
  readonly zoneId?: string;
  readonly dynamicAccounts?: boolean;
  readonly accounts?: readonly string[];
}

async function register(
  agent: RawAgent,
  { accounts = [], ...registration }: Registration,
): Promise<StatusObject | 'in'> {
  agent.send({ case: 'register', value: { ...registration, accounts: accounts.map((name) => ({ name })) } });
  const registered = () => agent.all('registered').length > 0;
  await waitFor(() => registered() || agent.end !== undefined);
  return registered() || agent.end === undefined ? 'in' : agent.end;
}

const pod = (account: string) => ({ account, get: { object: { kind: 'Pod', name: 'web' } } });

/** Opens a caching stream that says it is the agent's; gives the accounts that it may write. */
async function reachForCaching(
  t: Test,
  { agentsAddress }: RunningGateway,
  token: string,
  hello: { readonly agentId: string; readonly epoch: bigint; readonly accounts: string[] },
): Promise<readonly string[]> {
  const client = new Client(agentsAddress, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  t.teardown(() => {
    client.close();
  });
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const asIs = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  const call = client.makeBidiStreamRequest('/events.Caching/Stream', asIs, (bytes: Buffer) => bytes, metadata);
  const replies: CachingReply[] = [];
  call.on('data', (bytes: Buffer) => replies.push(fromBinary(CachingReplySchema, bytes)));
  call.on('error', () => undefined);
  call.write(
    toBinary(CachingMessageSchema, create(CachingMessageSchema, { message: { case: 'hello', value: hello } })),
  );
  const resume = await waitFor(() => replies.find(({ message }) => message.case === 'resume'));
  call.cancel();
  return resume.message.case === 'resume' ? resume.message.value.accounts : [];
}

function tokensFile(directory: string): string {
  const file = join(directory, 'tokens.yml');
  const entry = (name: string) => `  - {name: ${name}, sha256: ${digest(name)}}\n`;
  writeFileSync(file, `tokens:\n${['victim', 'attacker'].map(entry).join('')}`);
  return file;
}

test('reaching for what is another one', async (t) => {
  const open = await startGateway(t);
  const strict = await startGateway(t, { 'kubesvc.grpc.auth.tokens.file': tokensFile(t.testdir({})) });

  await t.test('its account', async (t) => {
    t.equal(await register(dial(t, open, 'victim'), { agentId: 'victim-1', accounts: ['prod'] }), 'in');
    t.equal(await register(dial(t, open, 'attacker'), { agentId: 'attacker-1', accounts: ['prod'] }), 'in');

    const victim = dial(t, strict, 'victim');
    t.equal(await register(victim, { agentId: 'victim-1', accounts: ['prod', 'prod-2'] }), 'in');
    t.match(await register(dial(t, strict, 'attacker'), { agentId: 'attacker-1', accounts: ['own', 'prod'] }), {
      code: status.PERMISSION_DENIED,
      details: /prod: registered by a principal other than token:attacker/u,
    });
    t.equal(
      await register(dial(t, strict, 'attacker'), { agentId: 'attacker-1', accounts: ['own'] }),
      'in',
      'nothing of the refused registration was kept',
    );
    t.equal(
      await register(dial(t, strict, 'victim'), { agentId: 'victim-2', accounts: ['prod'] }),
      'in',
      'its own may',
    );
    t.equal(victim.end, undefined);

    const later = dial(t, strict, 'attacker');
    t.equal(await register(later, { agentId: 'attacker-2', accounts: ['own-2'] }), 'in');
    later.send({ case: 'accountsAdded', value: { accounts: [{ name: 'prod-2' }] } });
    t.match(await later.ended(), { code: status.PERMISSION_DENIED }, 'nor later, on a stream that is registered');
  });

  await t.test('its account while it is away', async (t) => {
    const victim = dial(t, strict, 'victim');
    t.equal(await register(victim, { agentId: 'victim-3', accounts: ['away'] }), 'in');
    victim.finish();
    await waitFor(async () => (await strict.operate(pod('away'))).status === 503);
    t.match(await register(dial(t, strict, 'attacker'), { agentId: 'attacker-3', accounts: ['away'] }), {
      code: status.PERMISSION_DENIED,
    });
  });

  await t.test('its id, so that it is disconnected', async (t) => {
    const replaced = dial(t, open, 'victim');
    t.equal(await register(replaced, { agentId: 'same', accounts: ['a'] }), 'in');
    t.equal(await register(dial(t, open, 'attacker'), { agentId: 'same', accounts: ['b'] }), 'in');
    t.equal((await replaced.ended()).code, status.ABORTED, 'without the defence it is gone');

    const victim = dial(t, strict, 'victim');
    t.equal(await register(victim, { agentId: 'same', accounts: ['a'] }), 'in');
    t.equal(await register(dial(t, strict, 'attacker'), { agentId: 'same', accounts: ['b'] }), 'in');
    const answering = strict.operate(pod('a'));
    const { id } = await victim.next('operation');
    victim.send({ case: 'result', value: { operationId: id, status: 200 } });
    t.equal((await answering).status, 200, 'each has its own');
    t.equal(victim.end, undefined);
  });

  await t.test('its operation', async (t) => {
    const answered = async (gateway: RunningGateway, accounts: string[], expected: StatusObject | 'in' | undefined) => {
      const victim = dial(t, gateway, 'victim');
      t.equal(await register(victim, { agentId: 'victim-4', accounts: ['orders'] }), 'in');
      const answering = gateway.operate(pod('orders'));
      const { id } = await victim.next('operation');
      const attacker = dial(t, gateway, 'attacker');
      const outcome = await register(attacker, { agentId: 'victim-4', accounts });
      if (expected !== undefined) t.match(outcome, expected);
      if (outcome === 'in') {
        attacker.send({
          case: 'result',
          value: { operationId: id, account: 'orders', status: 200, message: 'forged' },
        });
        const receipt = await attacker.next('receipt', ({ operationId }) => operationId === id);
        if (receipt.outcome !== ResultReceipt_Outcome.RECORDED)
          victim.send({
            case: 'result',
            value: { operationId: id, account: 'orders', status: 200, message: 'genuine' },
          });
      }
      return answering;
    };
    t.match((await answered(open, ['orders'], 'in')).body['result'], { message: 'forged' }, 'without the defence');
    const none = await (await fetch(`${strict.restUrl}/metrics`)).text();
    t.match(none, /agent_gateway_results_total\{way="foreign"[^}]*\} 0/u, 'none is a number, for alerts');
    t.match((await answered(strict, ['attackers'], 'in')).body['result'], { message: 'genuine' });
    const metrics = await (await fetch(`${strict.restUrl}/metrics`)).text();
    t.match(metrics, /agent_gateway_results_total\{way="foreign"[^}]*\} 1/u, 'and it is counted');
    t.ok(strict.log.some(({ msg }) => msg === 'result from an agent that was not sent the operation; ignored'));
  });

  await t.test('its objects', async (t) => {
    for (const [gateway, may] of [
      [open, ['cluster']],
      [strict, []],
    ] as const) {
      const victim = dial(t, gateway, 'victim');
      t.equal(await register(victim, { agentId: 'victim-5', accounts: ['cluster'] }), 'in');
      await victim.next('caching');
      const [registered] = victim.all('registered');
      const hello = { agentId: 'victim-5', epoch: registered?.epoch ?? 0n, accounts: ['cluster'] };
      t.same(await reachForCaching(t, gateway, 'attacker', hello), may, 'a stranger');
      t.same(await reachForCaching(t, gateway, 'victim', hello), ['cluster'], 'the agent itself');
    }
  });

  await t.test('its zone, for the kubeconfigs of dynamic accounts', async (t) => {
    const zone = { zoneId: 'team-a', dynamicAccounts: true };
    t.equal(await register(dial(t, open, 'victim'), { agentId: 'victim-6', ...zone }), 'in');
    t.equal(await register(dial(t, open, 'attacker'), { agentId: 'attacker-6', ...zone }), 'in');
    t.equal(await register(dial(t, strict, 'victim'), { agentId: 'victim-6', ...zone }), 'in');
    t.match(await register(dial(t, strict, 'attacker'), { agentId: 'attacker-6', ...zone }), {
      code: status.PERMISSION_DENIED,
      details: /^register\.zone_id: zone team-a belongs to a principal other than/u,
    });
    const ordinary = { agentId: 'attacker-7', zoneId: 'team-a', accounts: ['ordinary'] };
    t.equal(
      await register(dial(t, strict, 'attacker'), ordinary),
      'in',
      'without dynamic accounts a zone is but a name',
    );
  });
});

test('its operation, at another replica than the one that sent it', async (t) => {
  const file = tokensFile(t.testdir({}));
  const answered = async (settings: Readonly<Record<string, string>>, accounts: string[]) => {
    const database = await mariaDbDatabase(t);
    const ports = [await freePort(), await freePort()];
    const baseUrls = ports.map((port) => `http://127.0.0.1:${String(port)}`);
    const [sender, other] = (await Promise.all(
      ports.map((port, index) =>
        startGateway(t, {
          ...{ 'instance.id': `replica-${String(index)}`, 'server.port': port, 'sql.url': database.url },
          ...{ 'kubesvc.cluster': 'static', 'kubesvc.cluster-static.instances': baseUrls.join(',') },
          ...{ 'instance.baseUrl': String(baseUrls[index]), 'kubesvc.rebalance.enabled': false },
          ...{ 'server.address': '127.0.0.1', 'kubesvc.drain.endpointRemovalMs': 0, ...settings },
        }),
      ),
    )) as [RunningGateway, RunningGateway];
    await waitFor(async () => JSON.stringify((await other.request('/armory/clouddrivers')).body).includes('replica-0'));
    const victim = dial(t, sender, 'victim');
    t.equal(await register(victim, { agentId: 'agent', accounts: ['orders'] }), 'in');
    const answering = sender.operate({ account: 'orders', delete: { object: { kind: 'Pod', name: 'web' } } });
    const { id } = await victim.next('operation');
    const attacker = dial(t, other, 'attacker');
    t.equal(await register(attacker, { agentId: 'agent', accounts }), 'in');
    const result = { operationId: id, account: 'orders', status: 200 };
    attacker.send({ case: 'result', value: { ...result, message: 'forged' } });
    const { outcome } = await attacker.next('receipt', ({ operationId }) => operationId === id);
    if (outcome !== ResultReceipt_Outcome.RECORDED)
      victim.send({ case: 'result', value: { ...result, message: 'genuine' } });
    return { answer: (await answering).body['result'], other };
  };
  t.match((await answered({}, ['orders'])).answer, { message: 'forged' }, 'without the defence');
  const { answer, other } = await answered({ 'kubesvc.grpc.auth.tokens.file': file }, ['attackers']);
  t.match(answer, { message: 'genuine' });
  t.equal(await metric(other, 'agent_gateway_results_total{way="foreign"'), 1, 'and it is counted');
});

test('a policy says who may have what, as it is now', async (t) => {
  const directory = t.testdir({});
  const policyFile = join(directory, 'policy.yml');
  const write = (accounts: string, rule = 'team-a'): void => {
    writeFileSync(
      policyFile,
      `agents:
  - name: ${rule}
    match: ['token:victim', 'token:victim-2']
    zones: ['team-a_*']
    accounts: [${accounts}]
`,
    );
  };
  write("'team-a-*', shared");
  const gateway = await startGateway(t, {
    'kubesvc.grpc.auth.tokens.file': tokensFile(directory),
    'kubesvc.grpc.auth.policyFile': policyFile,
  });
  const zoneId = 'team-a_agents';
  const agent = dial(t, gateway, 'victim');
  t.equal(await register(agent, { agentId: 'one', zoneId, accounts: ['team-a-prod', 'shared'] }), 'in');
  t.match(await register(dial(t, gateway, 'attacker'), { agentId: 'two', zoneId, accounts: ['team-a-test'] }), {
    code: status.PERMISSION_DENIED,
    details: /^no rule of the policy matches token:attacker$/u,
  });
  t.match(await register(dial(t, gateway, 'victim'), { agentId: 'three', zoneId, accounts: ['team-b-prod'] }), {
    code: status.PERMISSION_DENIED,
    details: /^register\.accounts: the policy does not allow team-b-prod for policy:team-a$/u,
  });
  t.match(await register(dial(t, gateway, 'victim'), { agentId: 'four', zoneId: 'team-b', accounts: ['shared'] }), {
    code: status.PERMISSION_DENIED,
    details: /^register\.zone_id: the policy does not allow it for policy:team-a$/u,
  });

  write("'team-a-*'");
  t.match(await agent.ended(), {
    code: status.PERMISSION_DENIED,
    details: /^register\.accounts: the policy does not allow shared for policy:team-a$/u,
  });
  const renamed = dial(t, gateway, 'victim');
  t.equal(await register(renamed, { agentId: 'one', zoneId, accounts: ['team-a-prod'] }), 'in');

  write("'team-a-*'", 'team-z');
  t.match(await renamed.ended(), {
    code: status.PERMISSION_DENIED,
    details: 'the policy now maps token:victim to policy:team-z; dial again',
  });
  t.match(await register(dial(t, gateway, 'victim'), { agentId: 'one', zoneId, accounts: ['team-a-prod'] }), {
    code: status.PERMISSION_DENIED,
    details: /team-a-prod: registered by a principal other than policy:team-z/u,
  });
});
