import { test } from 'tap';
import { readAnswer } from '../../src/simulate/answer.js';

const json = JSON.stringify;

test('a result in protobuf JSON: completed or failed, local or forwarded', async (t) => {
  const operation = { id: '1', originatingClouddriverId: 'a' };
  const route = { processedByClouddriverId: 'a' };
  t.same(readAnswer(200, json({ operation, result: { status: 201, route } })), {
    outcome: 'completed',
    route: 'local',
  });
  const forwarded = { status: 404, reason: 'NotFound', message: 'no pod', route: { processedByClouddriverId: 'b' } };
  t.same(readAnswer(200, json({ operation, result: forwarded })), {
    outcome: 'failed',
    kind: '404 NotFound',
    message: 'no pod',
    route: 'forwarded',
  });
  t.same(readAnswer(200, json({ operation, result: { status: 200 } })), { outcome: 'completed' });
});

test('a result in text format', async (t) => {
  const operation = 'id: "1"\noriginating_clouddriver_id: "a"\n';
  const result =
    'operation_id: "1"\nstatus: 409\nmessage: "changed"\nreason: "Conflict"\nroute {\n  processed_by_clouddriver_id: "b"\n}\n';
  t.same(readAnswer(200, json({ operation, result })), {
    outcome: 'failed',
    kind: '409 Conflict',
    message: 'changed',
    route: 'forwarded',
  });
});

test('no result: accepted below 300, else the problem', async (t) => {
  t.same(readAnswer(202, json({ operation: {} })), { outcome: 'accepted' });
  const problem = { type: 'urn:agent-gateway:problem:no-agent', title: 'No agent', detail: 'no agent is connected' };
  t.same(readAnswer(503, json(problem)), {
    outcome: 'refused',
    kind: 'HTTP 503 no-agent',
    message: 'no agent is connected',
  });
  t.same(readAnswer(502, '<html>bad gateway</html>'), {
    outcome: 'refused',
    kind: 'HTTP 502',
    message: '<html>bad gateway</html>',
  });
  t.same(readAnswer(404, json({ type: 'about:blank', title: 'Not Found' })), {
    outcome: 'refused',
    kind: 'HTTP 404',
    message: 'Not Found',
  });
});
