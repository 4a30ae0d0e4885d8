/** The agent as a service, against a real gateway: accounts that change, TLS with client certificates, tokens, ports. */

import { readFileSync, writeFileSync } from 'node:fs';
import { pino } from 'pino';
import { test, type Test } from 'tap';
import { GatewaySecurity } from '../../src/agent/dial-security.js';
import { parseAgentConfiguration } from '../../src/agent/configuration/read.js';
import type { AgentConfiguration } from '../../src/agent/configuration/schema.js';
import { createAgentService, type AgentService } from '../../src/agent/service.js';
import { silentLogger } from '../../src/core/logger.js';
import { makeCertificates } from '../commands/certificates.js';
import { freePort } from '../free-port.js';
import { startGateway } from '../gateway/running-gateway.js';
import { waitFor } from '../wait.js';

const patience = { timeoutMs: 60_000 };
/** Of a cluster that is not there: it is served all the same. */
const kubeconfig = JSON.stringify({
  clusters: [{ name: 'none', cluster: { server: 'http://127.0.0.1:1' } }],
  contexts: [{ name: 'none', context: { cluster: 'none' } }],
  'current-context': 'none',
});

interface Started {
  readonly service: AgentService;
  readonly log: Record<string, unknown>[];
  change(text: string): void;
}

async function startAgent(t: Test, text: string): Promise<Started> {
  let now = text;
  const log: Record<string, unknown>[] = [];
  const write = (line: string): void => void log.push(JSON.parse(line) as Record<string, unknown>);
  const { configuration } = parseAgentConfiguration(text, 'agent.yml', {});
  const service = createAgentService({
    configuration,
    version: 'test',
    logger: pino({ level: 'info' }, { write }),
    environment: { DEPLOYMENT_NAME: 'agent', POD_NAMESPACE: 'spinnaker' },
    hostname: 'agent-1',
    file: { name: 'agent.yml', text, read: () => Promise.resolve(now) },
  });
  await service.start(AbortSignal.timeout(120_000));
  t.teardown(() => service.stop());
  return { service, log, change: (changed) => void (now = changed) };
}

test('accounts of the configuration are served, and followed when it changes', async (t) => {
  const file = `${t.testdir({ config: kubeconfig })}/config`;
  const gateway = await startGateway(t);
  const [healthPort, metricsPort] = [await freePort(), await freePort()];
  const text = (...accounts: object[]): string =>
    JSON.stringify({
      clouddriver: { grpc: gateway.agentsAddress },
      kubernetes: {
        accounts: accounts.map((account) => ({ kubeConfigFile: file, ...account })),
        retries: { enabled: false },
      },
      server: { host: '127.0.0.1', port: healthPort },
      prometheus: { enabled: true, port: metricsPort },
      tasks: { drainSeconds: 1 },
    });
  const { service, log, change } = await startAgent(t, text({ name: 'one' }, { name: 'two' }));
  const accounts = async (): Promise<string> => {
    const { body } = await gateway.request('/armory/agents');
    return (body as unknown as { accounts: string[] }[])
      .flatMap((agent) => agent.accounts)
      .sort()
      .join();
  };
  const are = (expected: string) =>
    waitFor(async () => (await accounts()) === expected, { ...patience, description: expected });
  await are('one,two');
  // The gateway knows of the agent a moment before the agent does.
  const { epoch } = await waitFor(() => {
    const { state } = service.connection;
    return state.name === 'active' && state;
  }, patience);

  const health = await fetch(`http://127.0.0.1:${String(healthPort)}/readyz`);
  t.equal(health.status, 200);
  t.match(await health.json(), { ready: true, state: 'active' });
  const metrics = await (await fetch(`http://127.0.0.1:${String(metricsPort)}/metrics`)).text();
  t.match(metrics, /^agent_gateway_agent_connected 1$/m);
  t.match(metrics, /^agent_gateway_agent_accounts 2$/m);
  t.match((await gateway.request('/armory/agents/agent-1')).body, { agentId: 'agent-1' });

  await waitFor(() => log.length > 0);
  change(text({ name: 'two', namespaces: ['team'] }, { name: 'three' }));
  await are('three,two');
  const props = (await gateway.request('/agents/kubernetes/accounts/two/namespaces')).body;
  t.strictSame(props, ['team']);
  change('kubernetes: [');
  await waitFor(() => log.some(({ msg }) => String(msg).includes('configuration is invalid')), patience);
  t.equal(await accounts(), 'three,two');
  t.match(service.connection.state, { name: 'active', epoch }, 'over the stream that was there');
  const answer = await gateway.operate({ account: 'three', get: { object: { kind: 'Pod', name: 'x' } } });
  t.match(answer.body, { result: { status: 503, reason: 'ServiceUnavailable' } });
});

test('TLS with a client certificate, which is read again at each dial', async (t) => {
  const certificates = makeCertificates(t);
  const section = 'kubesvc.grpc.server.security';
  const gateway = await startGateway(t, {
    [`${section}.enabled`]: true,
    [`${section}.certificateChain`]: certificates.chain,
    [`${section}.privateKey`]: certificates.key,
    [`${section}.trustCertCollection`]: certificates.authority,
    [`${section}.clientAuth`]: 'REQUIRE',
  });
  const file = certificates.write('config', kubeconfig);
  const clouddriver = {
    grpc: gateway.agentsAddress,
    insecure: false,
    tls: {
      serverName: 'gateway',
      cacertFile: certificates.authority,
      clientCertFile: certificates.chain,
      clientKeyFile: certificates.encryptedKey,
      clientKeyFilePassword: 'hunter2',
    },
  };
  const kubernetes = { accounts: [{ name: 'one', kubeConfigFile: file }] };
  const { service } = await startAgent(t, JSON.stringify({ clouddriver, kubernetes, server: { port: 0 } }));
  await waitFor(() => service.connection.state.name === 'active', patience);
  writeFileSync(certificates.encryptedKey, 'nonsense');
  const security = new GatewaySecurity(
    parseAgentConfiguration(JSON.stringify({ clouddriver, kubernetes }), 'agent.yml', {}).configuration.clouddriver,
    silentLogger,
    {},
  );
  t.throws(() => security.security(), { code: 'configuration', message: /^clouddriver.tls: certificate and key/ });
});

test('certificate and key may be in one file; one without a key is told at the start', async (t) => {
  const certificates = makeCertificates(t);
  const security = (clientCertFile: string): GatewaySecurity => {
    const tls = { clientCertFile };
    const text = JSON.stringify({ clouddriver: { insecure: false, tls }, dynamicAccounts: { enabled: true } });
    return new GatewaySecurity(
      parseAgentConfiguration(text, 'agent.yml', {}).configuration.clouddriver,
      silentLogger,
      {},
    );
  };
  const both = [certificates.chain, certificates.key].map((path) => readFileSync(path, 'utf8'));
  for (const text of [both.join(''), both.reverse().join('')]) {
    await t.resolves(security(certificates.write('both.pem', text)).start(AbortSignal.timeout(120_000)));
  }
  await t.rejects(security(certificates.chain).start(AbortSignal.timeout(120_000)), {
    code: 'configuration',
    message: /^clouddriver.tls.clientKeyFile: expected a PEM file with a private key, found none in /,
  });
});

test('the token comes from where the configuration says', async (t) => {
  const tokenFile = `${t.testdir({ token: 'from-file\n' })}/token`;
  const authorization = async (auth: object): Promise<string | undefined> => {
    const text = JSON.stringify({ clouddriver: { auth }, dynamicAccounts: { enabled: true } });
    const { clouddriver }: AgentConfiguration = parseAgentConfiguration(text, 'agent.yml', {}).configuration;
    const security = new GatewaySecurity(clouddriver, silentLogger, {});
    await security.start(new AbortController().signal);
    return security.security().authorization;
  };
  t.equal(await authorization({}), undefined);
  t.equal(await authorization({ token: 'written' }), 'Bearer written');
  t.equal(await authorization({ tokenFile }), 'Bearer from-file');
  t.equal(await authorization({ tokenCommand: { command: 'echo', args: ['printed'] } }), 'Bearer printed');
  const credential = { kind: 'ExecCredential', status: { token: 'granted' } };
  t.equal(
    await authorization({ tokenCommand: { command: 'echo', args: [JSON.stringify(credential)] } }),
    'Bearer granted',
  );
  const print = (text: string, format: string) => ({ tokenCommand: { command: 'echo', args: [text], format } });
  t.equal(await authorization(print('{"token": "attribute"}', 'json')), 'Bearer attribute');
  t.equal(await authorization(print('{odd', 'raw')), 'Bearer {odd');
  await t.rejects(authorization(print('printed', 'json')), { message: /: it printed no token/ });
  await t.rejects(authorization({ tokenCommand: { command: 'false' } }), {
    field: undefined,
    message: /: it printed no token/,
  });
});
