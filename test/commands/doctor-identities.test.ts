/** What `doctor` says of files that say who may come in. */

import { join } from 'node:path';
import { test } from 'tap';
import { examineIdentities } from '../../src/commands/doctor/identities.js';
import { loadConfig } from '../../src/gateway/config/config.js';

test('files of identities', async (t) => {
  const directory = t.testdir({
    'tokens.yml': `tokens: [{name: a, sha256: ${'0'.repeat(64)}}]`,
    'policy.yml': 'agents: [{name: a, match: [nonsense], accounts: [a]}]',
  });
  const look = async (...flags: string[]) => {
    const { config } = loadConfig({ environment: {}, flags });
    const findings = [];
    for await (const finding of examineIdentities(config, {}, AbortSignal.timeout(120_000))) findings.push(finding);
    return findings;
  };
  t.match(await look(), [{ status: 'ok' }], 'a replica to try');
  const cluster = ['--kubesvc.cluster=redis', '--redis.connection=redis://r', '--sql.url=mysql://u@d/x'];
  t.match(await look(...cluster, '--server.auth.anonymousRole=admin'), [
    { status: 'warning', found: /agents do not have to authenticate/u },
  ]);
  const tokens = `--kubesvc.grpc.auth.tokens.file=${join(directory, 'tokens.yml')}`;
  t.match(await look(tokens), [{ status: 'ok', found: /^agents must authenticate/u }]);
  t.match(await look(tokens, `--kubesvc.grpc.auth.policyFile=${join(directory, 'policy.yml')}`), [
    { status: 'failed', found: /policy\.yml cannot be used: agents\[0\]\.match\[0\]: expected TYPE=VALUE/u },
  ]);
  t.match(await look('--kubesvc.grpc.auth.tokens.file=/none'), [{ status: 'failed', found: /ENOENT/u }]);
  const publicUrl = '--kubesvc.kubernetesApi.publicUrl=https://gateway.example';
  t.match(await look('--spinnaker.tokens.secretFile=/none', publicUrl), [
    { status: 'failed', found: /spinnaker\.tokens\.secretFile.*ENOENT/u },
  ]);
});
