/**
 * Certificates, authorities, key sets, tokens and secrets change under load, on two replicas that forward to each other:
 * no stream ends, and no operation fails.
 */

import { fromBinary } from '@bufbuild/protobuf';
import { createHash } from 'node:crypto';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { test } from 'tap';
import { Agent, request } from 'undici';
import { GatewayMessageSchema } from '../../../src/protocol/generated/ops/operations_pb.js';
import { freePort } from '../../free-port.js';
import { mariaDbDatabase } from '../../services/databases.js';
import { startRedis } from '../../services/redis.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway, type RunningGateway } from '../running-gateway.js';
import { Authority } from './authority.js';

const digest = (token: string): string => createHash('sha256').update(token).digest('hex');
const issuer = 'https://issuer.example.com';

test('everything is replaced under load', async (t) => {
  const directory = t.testdir({});
  const path = (name: string): string => join(directory, name);
  const [before, after] = [new Authority(t, 'before'), new Authority(t, 'after')];
  const read = (authority: Authority): string => authority.read(authority.certificate);
  const issue = (authority: Authority): void => {
    const issued = authority.issue({ subject: '/CN=gateway', alternativeNames: 'DNS:gateway' });
    copyFileSync(issued.certificate, path('tls.crt'));
    copyFileSync(issued.key, path('tls.key'));
  };
  const trust = (...authorities: Authority[]): void => {
    writeFileSync(path('ca.crt'), authorities.map(read).join(''));
  };
  issue(before);
  trust(before);

  const makeKey = async (kid: string) => ({ kid, ...(await generateKeyPair('ES256', { extractable: true })) });
  const keys = [await makeKey('first'), await makeKey('second')] as const;
  const publish = async (...published: (typeof keys)[number][]): Promise<void> => {
    const list = published.map(async ({ kid, publicKey }) => ({ ...(await exportJWK(publicKey)), kid, alg: 'ES256' }));
    writeFileSync(path('keys.json'), JSON.stringify({ keys: await Promise.all(list) }));
  };
  const tokenOf = ({ kid, privateKey }: (typeof keys)[number]): Promise<string> =>
    new SignJWT({ iss: issuer, aud: 'gateway', sub: 'agent' })
      .setProtectedHeader({ alg: 'ES256', kid })
      .setExpirationTime('1h')
      .sign(privateKey);
  await publish(keys[0]);
  const allow = (...tokens: string[]): void => {
    const entries = tokens.map((token) => `{name: caller, sha256: ${digest(token)}}`);
    writeFileSync(path('tokens.yml'), `tokens: [${entries.join(', ')}]`);
  };
  allow('first');
  writeFileSync(path('callers.yml'), "callers: [{name: caller, match: ['token:caller'], role: operate}]");
  const secrets = ['s', 't'].map((letter) => letter.repeat(40));
  writeFileSync(path('secrets'), secrets[0] ?? '');

  const database = await mariaDbDatabase(t);
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const tls = (section: string) => ({
    [`${section}.enabled`]: true,
    [`${section}.certificateChain`]: path('tls.crt'),
    [`${section}.privateKey`]: path('tls.key'),
    [`${section}.trustCertCollection`]: path('ca.crt'),
  });
  const ports = { entry: await freePort(), owner: await freePort() };
  const baseUrl = (id: keyof typeof ports): string => `https://127.0.0.1:${String(ports[id])}`;
  const instances = `${baseUrl('entry')},${baseUrl('owner')}`;
  const start = (id: keyof typeof ports): Promise<RunningGateway> =>
    startGateway(t, {
      ...{ 'server.port': ports[id], 'instance.baseUrl': baseUrl(id), 'instance.id': id },
      ...{ 'sql.url': database.url, 'redis.connection': redis.url },
      ...{ 'kubesvc.cluster': 'static', 'kubesvc.cluster-static.instances': instances },
      ...{ 'server.address': '127.0.0.1', 'kubesvc.drain.endpointRemovalMs': 0 },
      // All agents are at one of the two; that is not to move any.
      'kubesvc.rebalance.enabled': false,
      ...tls('server.ssl'),
      'server.auth.tokens.file': path('tokens.yml'),
      'server.auth.policyFile': path('callers.yml'),
      'server.auth.instances.secretFile': path('secrets'),
      'server.auth.instances.serverName': 'gateway',
      ...tls('kubesvc.grpc.server.security'),
      'kubesvc.grpc.server.security.clientAuth': 'REQUIRE',
      'kubesvc.grpc.auth.tokens.jwt.jwksFile': path('keys.json'),
      'kubesvc.grpc.auth.tokens.jwt.issuer': issuer,
      'kubesvc.grpc.auth.tokens.jwt.audiences': 'gateway',
    });
  const [entry, owner] = [await start('entry'), await start('owner')];

  const dial = async (authority: Authority, key: (typeof keys)[number]): Promise<RawAgent> => {
    const { certificate, key: privateKey } = authority.issue({ subject: '/CN=agent' });
    const pair = [privateKey, certificate].map((file) => Buffer.from(authority.read(file))) as [Buffer, Buffer];
    const secure = credentials.createSsl(Buffer.from(read(authority)), ...pair);
    const names = { 'grpc.ssl_target_name_override': 'gateway', 'grpc.default_authority': 'gateway' };
    const agent = new RawAgent(owner.agentsAddress, secure, names, `Bearer ${await tokenOf(key)}`);
    t.teardown(() => agent.close());
    return agent;
  };
  const register = async (agent: RawAgent, account: string): Promise<boolean> => {
    agent.send({ case: 'register', value: { agentId: account, accounts: [{ name: account }] } });
    await waitFor(() => agent.all('registered').length > 0 || agent.end !== undefined);
    return agent.end === undefined;
  };
  const agent = await dial(before, keys[0]);
  t.ok(await register(agent, 'prod'));

  // Callers keep their connections, as Clouddriver does.
  let caller = { token: 'first', trusts: new Agent({ connect: { ca: read(before), servername: 'gateway' } }) };
  t.teardown(() => caller.trusts.destroy());
  const statuses = new Map<number | string, number>();
  const count = (what: number | string): void => void statuses.set(what, (statuses.get(what) ?? 0) + 1);
  const operate = async (): Promise<void> => {
    try {
      const { statusCode, body } = await request(`${entry.restUrl}/armory/agent/operations`, {
        ...{ method: 'POST', dispatcher: caller.trusts },
        headers: { 'content-type': 'application/json', prefer: 'wait=20', authorization: `Bearer ${caller.token}` },
        body: JSON.stringify({ operation: { account: 'prod', get: { object: { kind: 'Pod', name: 'web' } } } }),
      });
      const text = await body.text();
      count(statusCode === 200 ? 200 : text);
    } catch (error) {
      count(String(error));
    }
  };
  const [load, answers] = [new AbortController(), new AbortController()];
  let [answered, seen] = [0, 0];
  const answer = async (): Promise<void> => {
    await waitFor(
      () => {
        for (; seen < agent.frames.length; seen += 1) {
          const { message } = fromBinary(GatewayMessageSchema, agent.frames[seen] ?? new Uint8Array());
          if (message.case !== 'operation') continue;
          agent.send({ case: 'result', value: { operationId: message.value.id, account: 'prod', status: 200 } });
          answered += 1;
        }
        return answers.signal.aborted;
      },
      { timeoutMs: 100_000, intervalMs: 5 },
    );
  };
  const callAll = async (): Promise<void> => {
    while (!load.signal.aborted) await operate();
  };
  await waitFor(async () => {
    const response = await request(`${entry.restUrl}/readyz`, { dispatcher: caller.trusts });
    await response.body.dump();
    return response.statusCode === 200;
  });
  const answering = answer();
  const calling = Array.from({ length: 4 }, callAll);

  /** Both replicas have taken the change, and work has been done with it. */
  const taken = async (message: string, change: () => void | Promise<void>): Promise<void> => {
    const lines = () => [entry, owner].map(({ log }) => log.filter(({ msg }) => msg === message).length);
    const told = lines();
    await change();
    await waitFor(() => lines().every((now, index) => now > (told[index] ?? 0)), {
      description: `"${message}" of both`,
    });
    const done = answered;
    await waitFor(() => answered > done + 20, { description: 'operations to go on' });
  };
  const tlsTaken = 'TLS files changed; new connections use them';
  const fileTaken = 'file changed; its new content is in effect';
  await taken(tlsTaken, () => {
    issue(before);
  });
  await taken(tlsTaken, () => {
    trust(before, after);
  });
  await taken(tlsTaken, () => {
    issue(after);
  });
  const { trusts } = caller;
  caller = { ...caller, trusts: new Agent({ connect: { ca: read(after), servername: 'gateway' } }) };
  await trusts.close();
  t.ok(await register(await dial(after, keys[0]), 'newer'), 'an agent of the new authority');
  await taken(tlsTaken, () => {
    trust(after);
  });
  await taken(fileTaken, () => publish(keys[0], keys[1]));
  t.ok(await register(await dial(after, keys[1]), 'newest'), 'an agent with a token of the new key');
  await taken(fileTaken, () => publish(keys[1]));
  await taken(fileTaken, () => {
    writeFileSync(path('secrets'), secrets.join('\n'));
  });
  await taken(fileTaken, () => {
    writeFileSync(path('secrets'), secrets.toReversed().join('\n'));
  });
  await taken(fileTaken, () => {
    writeFileSync(path('secrets'), secrets[1] ?? '');
  });
  await taken(fileTaken, () => {
    allow('first', 'second');
  });
  caller = { ...caller, token: 'second' };
  await waitFor(() => answered > 0);
  await taken(fileTaken, () => {
    allow('second');
  });

  load.abort();
  await Promise.all(calling);
  answers.abort();
  await answering;
  t.same([...statuses.keys()], [200], `${String(statuses.get(200))} operations`);
  t.equal(agent.end, undefined, 'the stream of before is still there');
  t.equal(agent.all('reconnect').length, 0);
  t.notOk(await register(await dial(after, keys[0]), 'old-token'), 'the old key is out');
});
