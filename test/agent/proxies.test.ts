/** What the settings named noProxy do: for gateways, and for API servers of every kind of user. */

import { writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { parseAgentConfiguration } from '../../src/agent/configuration/read.js';
import { dialTarget } from '../../src/agent/dial-proxy.js';
import { createAgentService } from '../../src/agent/service.js';
import { silentLogger } from '../../src/core/logger.js';
import { startGateway } from '../gateway/running-gateway.js';
import { kubeconfigOf, startRecordingServer } from '../kubernetes/recording-server.js';
import { waitFor } from '../wait.js';

const patience = { timeoutMs: 30_000 };

/** A proxy that leads to a port whatever it is asked for. */
async function startProxy(t: Test, port: number): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer();
  server.on('connect', ({ url = '', headers }, client: Socket) => {
    asked.push(`${url} ${headers['proxy-authorization'] ?? ''}`);
    const upstream = connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => undefined));
    client.write('HTTP/1.1 200 OK\r\n\r\n');
    client.pipe(upstream).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://me:secret@127.0.0.1:${String((server.address() as AddressInfo).port)}`, asked };
}

async function startAgent(t: Test, configuration: object, environment: NodeJS.ProcessEnv) {
  const service = createAgentService({
    configuration: parseAgentConfiguration(JSON.stringify(configuration), 'agent.yml', {}).configuration,
    ...{ version: 'test', logger: silentLogger, hostname: 'agent-1', environment },
  });
  await service.start(AbortSignal.timeout(20_000));
  t.teardown(() => service.stop());
  return service;
}

test('gateways are dialled by HTTPS_PROXY, unless clouddriver.noProxy', async (t) => {
  const gateway = await startGateway(t);
  const proxy = await startProxy(t, Number(gateway.agentsAddress.split(':').at(-1)));
  const agent = (clouddriver: object, environment: object) =>
    startAgent(
      t,
      { clouddriver, dynamicAccounts: { enabled: true }, server: { port: 0 } },
      { HTTPS_PROXY: proxy.url, ...environment },
    );
  const service = await agent({ grpc: 'gateway.internal:9091' }, {});
  await waitFor(() => service.connection.state.name === 'active', patience);
  t.strictSame(proxy.asked, [`gateway.internal:9091 Basic ${Buffer.from('me:secret').toString('base64')}`]);
  await service.stop();
  const direct = await agent({ grpc: 'gateway.internal:9091', noProxy: true }, {});
  await waitFor(() => direct.connection.state.name === 'backing-off', patience);
  await direct.stop();
  const excepted = await agent({ grpc: 'gateway.internal:9091' }, { NO_PROXY: '.internal:9091' });
  await waitFor(() => excepted.connection.state.name === 'backing-off', patience);
  t.equal(proxy.asked.length, 1);
  t.throws(() => dialTarget('gateway:9091', { HTTPS_PROXY: 'socks5://proxy' }), {
    message: /HTTPS_PROXY: expected an http/,
  });
  t.strictSame(dialTarget('unix:/run/gateway', { HTTPS_PROXY: proxy.url }).target, 'unix:/run/gateway');
});

test('API servers are reached by proxies, unless kubernetes.noProxy or that of the account', async (t) => {
  const api = await startRecordingServer(t);
  const directory = t.testdir({});
  const apiVersion = 'client.authentication.k8s.io/v1';
  const credential = JSON.stringify({ kind: 'ExecCredential', apiVersion, status: { token: 'of-plugin' } });
  writeFileSync(join(directory, 'plugin'), `#!/bin/sh\nprintf '%s' '${credential}'\n`, { mode: 0o755 });
  const insecure = { 'insecure-skip-tls-verify': true };
  const exec = { exec: { apiVersion, command: './plugin', interactiveMode: 'Never' } };
  const proxy = `http://127.0.0.1:${String(api.proxyPort)}`;
  const far = { server: `https://api.internal:${String(api.port)}`, ...insecure };
  const near = { server: `https://127.0.0.1:${String(api.port)}`, ...insecure, 'proxy-url': proxy };
  const kubeconfigs = {
    token: kubeconfigOf(near, { token: 't' }),
    exec: kubeconfigOf(near, exec),
    far: kubeconfigOf(far, exec),
  };
  for (const [name, text] of Object.entries(kubeconfigs)) writeFileSync(join(directory, name), text);
  const reached = async (kubernetes: object, account: object): Promise<string> => {
    api.proxied.length = 0;
    api.requests.length = 0;
    const accounts = Object.keys(kubeconfigs).map((name) => ({
      name,
      kubeConfigFile: join(directory, name),
      ...account,
    }));
    const service = await startAgent(
      t,
      { clouddriver: { grpc: '127.0.0.1:1' }, kubernetes: { accounts, ...kubernetes }, server: { port: 0 } },
      { PATH: process.env['PATH'], HTTPS_PROXY: proxy },
    );
    await service.stop();
    const names = api.proxied.map((line) => (line.includes('api.internal') ? 'far' : 'near')).sort();
    return `${String(api.requests.length)} requests, by proxy: ${names.join()}`;
  };
  t.equal(await reached({}, {}), '3 requests, by proxy: far,near,near');
  t.equal(await reached({ noProxy: true }, {}), '2 requests, by proxy: ', 'and the far one is not found without');
  t.equal(await reached({}, { noProxy: true }), '2 requests, by proxy: ');
});
