/** Dynamic accounts of the agent: what the gateway asks for is served on a real API server, or refused in words. */

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { readFile } from 'node:fs/promises';
import { test } from 'tap';
import { parseAgentConfiguration } from '../../src/agent/configuration/read.js';
import { ServedAccounts } from '../../src/agent/served-accounts.js';
import { silentLogger } from '../../src/core/logger.js';
import { DynamicAccountSchema } from '../../src/protocol/generated/ops/operations_pb.js';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { startKubernetes } from '../services/kubernetes.js';

const programs = await kubernetesPrograms();
const skip = { skip: typeof programs === 'string' && programs };

test('dynamic accounts', skip, async (t) => {
  const kubernetes = await startKubernetes(programs, { controllers: false });
  t.teardown(() => kubernetes.stop());
  const kubeconfig = await readFile(kubernetes.adminKubeconfig);
  const text = 'dynamicAccounts: {enabled: true}';
  const { configuration } = parseAgentConfiguration(text, 'agent.yml', {});
  const accounts = new ServedAccounts(configuration.kubernetes, {
    logger: silentLogger,
    environment: {},
    onAnswer: () => undefined,
  });
  t.teardown(() => accounts.close());
  const account = (init: MessageInitShape<typeof DynamicAccountSchema>) =>
    create(DynamicAccountSchema, { name: 'prod', version: 1n, ...init });

  const definition = JSON.stringify({ namespaces: ['shop'], kinds: ['Deployment'], apiAccess: 'read' });
  t.match(await accounts.add(account({ kubeconfig, definition })), {
    kubeHost: kubernetes.server,
    kubeVersion: /^v1\./,
    certFingerprint: /^[0-9A-F]{2}:/,
    namespaces: ['shop'],
    properties: { kubernetesApi: 'read' },
  });
  t.equal(accounts.get('prod')?.apiAccess, 'read');
  t.match(accounts.get('prod')?.cached, { kinds: ['Deployment'] });
  t.equal(accounts.get('prod')?.cluster.covers('other'), false);

  const wrong = account({ kubeconfig: Buffer.from('{"users": [{"name": "a", "user": {"token": "hunter2"}}]}') });
  const refusal = await accounts.add(wrong).catch((error: unknown) => error as Error);
  t.match(refusal, { message: /it has no current context/ });
  t.notOk((refusal as Error).message.includes('hunter2'));
  t.ok(accounts.get('prod'), 'the account is served on as it was');
  const nonsense = account({ kubeconfig, definition: '{"namespaces": "shop"}' });
  await t.rejects(accounts.add(nonsense), { message: /options of the wrong type/ });

  await accounts.add(account({ kubeconfigFile: kubernetes.adminKubeconfig, version: 2n }));
  t.equal(accounts.get('prod')?.cluster.covers('other'), true);
  await accounts.remove('prod');
  t.equal(accounts.get('prod'), undefined);
});
