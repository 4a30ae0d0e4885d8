/** What a request creates, by its body. */

import { test } from 'tap';
import { nameInBody } from '../../../src/gateway/kubernetes-api/name-in-body.js';

test('the name of a JSON object is read; anything else has none', (t) => {
  t.equal(nameInBody(Buffer.from('{"kind":"ConfigMap","metadata":{"name":"settings"}}')), 'settings');
  t.equal(nameInBody(Buffer.from(`{"metadata":{"name":"${'x'.repeat(300)}"}}`)).length, 253);
  for (const body of [
    '{"metadata":{"generateName":"job-"}}',
    '{"metadata":{"name":5}}',
    '{"metadata":null}',
    '{}',
    '{x',
    'k8s\0',
    '',
  ])
    t.equal(nameInBody(Buffer.from(body)), '', body);
  t.equal(nameInBody(undefined), '');
  t.equal(nameInBody(Buffer.from(`{"metadata":{"name":"a"},"data":"${'x'.repeat(70_000)}"}`)), '', 'too large to look');
  t.end();
});
