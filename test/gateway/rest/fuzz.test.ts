/** The API under a fuzzer that no one here wrote: no 5xx, and no answer that the OpenAPI document does not describe. */

import { join } from 'node:path';
import { test } from 'tap';
import { startSimulatedAgents } from '../../../src/simulate/agents.js';
import { schemathesis } from '../../services/schemathesis.js';
import { startGateway } from '../running-gateway.js';

/** Requests for each route in the phase that makes them up; the coverage phase adds some hundred of its own. */
const requestsPerRoute = 15;

const run = await schemathesis();
const skip = typeof run === 'string' ? run : false;

test('schemathesis', { skip }, async (t) => {
  if (typeof run === 'string') return;
  const gateway = await startGateway(t, {
    'kubesvc.dynamicAccounts.enabled': true,
    'kubesvc.kubernetesApi.publicUrl': 'https://gateway.example.com:7002',
    'spinnaker.tokens.secretFile': join(t.testdir({ secrets: 's'.repeat(48) }), 'secrets'),
  });
  const agents = await startSimulatedAgents({
    ...{ addresses: [gateway.agentsAddress], agents: 1, accounts: 2, latencyMs: 1 },
  });
  t.teardown(() => agents.stop());
  await agents.ready(AbortSignal.timeout(120_000));
  const { code, output } = await run(
    'run',
    `${gateway.restUrl}/openapi.json`,
    '--phases=examples,coverage,fuzzing',
    // What the document cannot say is refused as well: that a text is a protobuf message, that a page is too far.
    '--exclude-checks=positive_data_acceptance',
    `--max-examples=${String(requestsPerRoute)}`,
    '--seed=1',
    '--max-time=60',
    '--request-timeout=20',
    '--generation-database=none',
    '--continue-on-failure',
    '--no-color',
  );
  t.equal(code, 0, output.slice(-6_000));
  t.match(output, /Selected: (\d+)\/\1\n\s+Tested: \1\n/u, 'every route was tested');
  t.same(
    gateway.log.filter(({ level }) => level === 'error'),
    [],
    'nothing was logged as a fault of ours',
  );
});
