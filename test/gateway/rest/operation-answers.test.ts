/** How `POST /armory/agent/operations` answers: when, with which status and headers, and in which form. */

import { test } from 'tap';
import { RawAgent } from '../raw-agent.js';
import { startGateway } from '../running-gateway.js';

test('answers of operations', async (t) => {
  const gateway = await startGateway(t);
  const agent = await RawAgent.register(t, gateway.agentsAddress, { agentId: 'agent', accounts: [{ name: 'one' }] });
  const get = { account: 'one', get: { object: { kind: 'ConfigMap', namespace: 'shop', name: 'web' } } };
  const post = (headers: Readonly<Record<string, string>>, operation: unknown = get) =>
    gateway.request('/armory/agent/operations', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ operation }),
    });
  const idOf = (body: Readonly<Record<string, unknown>>) => (body['operation'] as { id: string }).id;

  for (const [prefer, status, applied] of [
    ['', 200, null],
    ['return=minimal', 200, null],
    ['respond-async', 202, 'respond-async'],
    ['Respond-Async; foo=bar, return=minimal', 202, 'respond-async'],
    ['wait=0', 202, null],
    ['respond-async, wait=0', 202, 'respond-async'],
  ] as const) {
    const answer = await post(prefer === '' ? {} : { prefer });
    t.equal(answer.status, status, prefer);
    t.equal(answer.headers.get('preference-applied'), applied, prefer);
    const location = answer.headers.get('location') ?? '';
    t.equal(location, `/armory/agent/operations/${idOf(answer.body)}`, prefer);
  }
  t.equal((await post({ prefer: 'respond-async, wait=soon' })).status, 400);
  const refused = await post({ prefer: 'respond-async' }, { ...get, account: 'nowhere' });
  t.equal(refused.status, 404);
  t.equal(refused.headers.get('location'), null, 'what is not accepted has no record of its own');

  const object = '{"kind":"ConfigMap","number":12345678901234567890,"data":{"a":"b"}}';
  const answered = async (accept: string, result: object): Promise<string> => {
    const id = `01ARZ3NDEKTSV4RRFFQ69G5F${String(Math.floor(Math.random() * 90) + 10)}`;
    const response = fetch(`${gateway.restUrl}/armory/agent/operations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=60', accept },
      body: JSON.stringify({ operation: { ...get, id } }),
    });
    await agent.next('operation', (operation) => operation.id === id);
    agent.send({ case: 'result', value: { operationId: id, account: 'one', status: 200, ...result } });
    const answer = await response;
    t.equal(answer.status, 200);
    t.match(answer.headers.get('content-type'), /^application\/json/u);
    return answer.text();
  };
  const manifests = { body: { case: 'objects', value: { manifests: [Buffer.from(object), Buffer.from('no JSON')] } } };
  const readable = await answered('application/json; manifests=object', manifests);
  t.ok(readable.includes(`"manifests":[${object},"${Buffer.from('no JSON').toString('base64')}"]`), readable);
  const usual = await answered('application/json', manifests);
  t.ok(usual.includes(Buffer.from(object).toString('base64')), 'base64 if nobody asks');
  const log = { body: { case: 'logs', value: { text: Buffer.from('line 1\nline 2\n') } } };
  t.match(JSON.parse(await answered('application/json;manifests=object', log)), {
    result: { logs: { text: 'line 1\nline 2\n' } },
  });
});
