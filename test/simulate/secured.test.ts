/** `agent-gateway simulate` against a gateway where agents and callers must authenticate. */

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { startCommand } from '../commands/run-command.js';
import { startGateway } from '../gateway/running-gateway.js';
import { Authority } from '../gateway/security/authority.js';

test('agents and load show tokens and certificates', async (t) => {
  const directory = t.testdir({ caller: 'caller\n', agent: 'agent\n' });
  const authority = new Authority(t);
  const server = authority.issue({ subject: '/CN=gateway', alternativeNames: 'IP:127.0.0.1' });
  const client = authority.issue({ subject: '/CN=simulated' });
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const tokens = (name: string): string =>
    file(`${name}.yml`, `tokens: [{name: ${name}, sha256: ${createHash('sha256').update(name).digest('hex')}}]`);
  const tls = (section: string) => ({
    [`${section}.enabled`]: true,
    [`${section}.certificateChain`]: server.certificate,
    [`${section}.privateKey`]: server.key,
    [`${section}.trustCertCollection`]: authority.certificate,
    [`${section}.clientAuth`]: 'REQUIRE',
  });
  const gateway = await startGateway(t, {
    ...tls('server.ssl'),
    ...tls('kubesvc.grpc.server.security'),
    'kubesvc.grpc.auth.tokens.file': tokens('agent'),
    'server.auth.tokens.file': tokens('caller'),
    'server.auth.policyFile': file('policy.yml', "callers: [{name: load, match: ['token:caller'], role: operate}]"),
  });
  const run = async (...flags: string[]) => {
    const { texts, code, stop } = startCommand([
      'simulate',
      ...['--agents', '2', '--operations', '20', '--latency', '0', '--output', 'json'],
      ...['--gateway', gateway.agentsAddress, '--rest', gateway.restUrl, '--agents-tls'],
      ...['--cacert', authority.certificate, '--cert', client.certificate, '--key', client.key, ...flags],
    ]);
    const timer = setTimeout(stop, 120_000);
    try {
      return { code: await code, ...texts };
    } finally {
      clearTimeout(timer);
    }
  };
  const caller = ['--token-file', join(directory, 'caller')];
  const agent = ['--agents-token-file', join(directory, 'agent')];

  const { code, out } = await run(...caller, ...agent);
  t.equal(code, 0);
  t.match(JSON.parse(out), { sent: 20, outcomes: { completed: 20 } });

  const nobody = await run(...agent);
  t.match(JSON.parse(nobody.out), { sent: 20, outcomes: { completed: 0 } }, 'the load without its token');
  const strangers = await run(...caller, '--ready-timeout', '2');
  t.equal(strangers.code, 1, 'agents without theirs');
  t.match(strangers.err, /UNAUTHENTICATED|no credentials/u);
});
