/** An operation that another instance ended meanwhile: the caller hears what the record says, not what came too late. */

import { test } from 'tap';
import { openDatabase } from '../../../src/store/sql/database.js';
import { OperationStore } from '../../../src/store/operations/operations.js';
import { mariaDbDatabase } from '../../services/databases.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway } from '../running-gateway.js';

test('a result after another outcome was recorded', async (t) => {
  const { url } = await mariaDbDatabase(t);
  const gateway = await startGateway(t, { 'sql.url': url });
  const database = openDatabase({ url, maxPoolSize: 1, connectionTimeoutMs: 5_000, queryTimeoutMs: 5_000 });
  t.teardown(() => database.close());
  const operations = new OperationStore(database);
  const agent = await RawAgent.register(t, gateway.agentsAddress, { agentId: 'agent', accounts: [{ name: 'prod' }] });
  const answered = gateway.operate({ account: 'prod', restart: { object: { kind: 'Deployment', name: 'web' } } });
  const { id } = await agent.next('operation');
  const pending = await operations.find(id);
  if (pending === undefined) throw new Error('it is not pending');
  const endTime = Date.now();
  const lost = { ...pending, endTime, totalDurationMs: 1, finalOutcome: 'agent lost' as const };
  t.ok((await operations.finish([lost])).has(id), 'as if it had been taken over');

  agent.send({ case: 'result', value: { operationId: id, status: 200 } });
  t.match(await answered, { status: 502, body: { detail: `operation ${id} has ended: agent lost` } });
  await agent.next('receipt', ({ operationId }) => operationId === id);
});
