/** Metrics of operations: every end is counted and measured, in the words of the REST API. */

import { test } from 'tap';
import { waitFor } from '../wait.js';
import { RawAgent } from './raw-agent.js';
import { startGateway } from './running-gateway.js';

test('what times out is in the histogram, and is counted under the word that REST has for it', async (t) => {
  const timeoutMs = 300;
  const gateway = await startGateway(t);
  const silent = await RawAgent.register(t, gateway.agentsAddress, { agentId: 'a', accounts: [{ name: 'here' }] });
  const { body } = await gateway.operate({ account: 'here', timeoutMs, get: { object: { kind: 'Pod', name: 'x' } } });
  const { id } = await silent.next('operation');
  const record = await waitFor(
    async () => {
      const { body: found } = await gateway.request(`/armory/agent/operations/${id}`);
      return found['finalOutcome'] === undefined ? undefined : found;
    },
    { description: 'the record of its end' },
  );

  const text = await (await fetch(`${gateway.restUrl}/metrics`)).text();
  const value = (series: string): number => {
    const line = text.split('\n').find((each) => each.startsWith(`${series} `));
    return Number(line?.slice(series.length));
  };
  const count = (outcome: unknown) =>
    value(`agent_gateway_operations_total{path="local",outcome="${String(outcome)}"}`);
  t.equal(count(record['finalOutcome']), 1, `${String(record['finalOutcome'])}: ${JSON.stringify(body)}`);
  const measured = 'agent_gateway_operation_duration_seconds';
  t.equal(value(`${measured}_count{path="local"}`), 1);
  // Node.js' timers know whole milliseconds, and the wait begins a little before the measurement does.
  t.ok(value(`${measured}_sum{path="local"}`) >= (timeoutMs - 50) / 1_000, 'as long as it was waited for');
});
