/** `POST /armory/agent/operationresults` answers as the seed document shows: `{"result": ...}`, in the form that was sent. */

import { test } from 'tap';
import { RawAgent } from '../raw-agent.js';
import { startGateway } from '../running-gateway.js';

test('a result is answered with itself, in the form that was sent or that is asked for', async (t) => {
  const gateway = await startGateway(t);
  const agent = await RawAgent.register(t, gateway.agentsAddress, { agentId: 'agent', accounts: [{ name: 'here' }] });
  const seen = new Set<string>();
  const underWay = async (): Promise<string> => {
    await gateway.operate('account: "here" restart { object { kind: "Deployment" name: "web" } }', 'wait=0');
    const { id } = await agent.next('operation', (operation) => !seen.has(operation.id));
    seen.add(id);
    return id;
  };
  const finish = (result: unknown, accept = 'application/json') =>
    gateway.request('/armory/agent/operationresults', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept },
      body: JSON.stringify({ result }),
    });
  const textOf = (id: string) => `operation_id: "${id}"\naccount: "here"\nstatus: 200\nmessage: "by hand"\n`;
  const jsonOf = (operationId: string) => ({ operationId, account: 'here', status: 200, message: 'by hand' });
  const oneLine = (id: string) => textOf(id).trim().replaceAll('\n', ' ');

  const text = await underWay();
  t.match(await finish(oneLine(text)), { status: 200, body: { result: textOf(text) } }, 'as toString() prints it');
  t.match(await finish(oneLine(text)), { status: 409 }, 'what has ended is refused as before');
  const json = await underWay();
  const answer = await finish(jsonOf(json));
  t.equal(answer.status, 200);
  t.same(answer.body, { result: jsonOf(json) });
  const asText = await underWay();
  t.match(await finish(jsonOf(asText), 'application/json; form=text'), { body: { result: textOf(asText) } });
  const asJson = await underWay();
  t.match(await finish(oneLine(asJson), 'application/json; form=json'), { body: { result: jsonOf(asJson) } });
});
