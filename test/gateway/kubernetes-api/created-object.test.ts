/** The name of what a request creates. */

import { test } from 'tap';
import { CreatedObject } from '../../../src/gateway/kubernetes-api/created-object.js';
import { waitFor } from '../../wait.js';
import { prefix, startServed } from './served.js';

/** @returns what the record says */
function named(body: string | undefined, status: number, ...answer: readonly string[]): string {
  const created = new CreatedObject(body === undefined ? undefined : Buffer.from(body));
  const heard: unknown[] = [];
  const events = created.hearing({
    onResponse: (head) => heard.push(head.status),
    onData: (data) => heard.push(Buffer.from(data).toString()),
    onEnd: () => heard.push('end'),
    onDrain: () => undefined,
    onFailed: () => undefined,
  });
  events.onResponse({ status, headers: [] });
  for (const piece of answer) events.onData(Buffer.from(piece));
  events.onEnd([]);
  if (heard.join() !== [status, ...answer, 'end'].join()) throw new Error(`not passed on: ${heard.join()}`);
  return created.name;
}

const object = (name: string): string => `{"kind":"Job","apiVersion":"batch/v1","metadata":{"name":"${name}"}}`;

test('the API server says it, or else the request', (t) => {
  t.equal(named('{"metadata":{"generateName":"job-"}}', 201, object('job-x2v9k')), 'job-x2v9k');
  t.equal(named('{"metadata":{"generateName":"job-"}}', 403, object('wrong')), 'job-*', 'nothing was made');
  t.equal(named(undefined, 201, object('long').slice(0, -2), '}'), 'long', 'of a body that was not there at the start');
  t.equal(named(object('a'), 409, '{"kind":"Status"}'), 'a');
  t.equal(named(object('a'), 201, '\u001f\u008b compressed'), 'a');
  t.equal(named(object('a'), 201), 'a', 'an answer that was cut off');
  t.equal(named('{"metadata":{"name":"a"},"metadata":{"name":"b"}}', 201, object('b')), 'b', 'the truth');
  t.equal(named(undefined, 201, '{"spec":{}}'), '');
  t.end();
});

test('the history has it', async (t) => {
  const served = await startServed(t, {
    respond: ({ answer }) => {
      answer.respond({ status: 201, headers: ['Content-Type', 'application/json'] });
      answer.write(Buffer.from(object('job-x2v9k')));
      answer.end();
      return undefined;
    },
  });
  const path = `${served.restUrl}${prefix}/apis/batch/v1/namespaces/shop/jobs`;
  const answer = await fetch(path, { method: 'POST', body: '{"metadata":{"generateName":"job-"}}' });
  t.equal(await answer.text(), object('job-x2v9k'), 'and its caller the answer');
  const list = `${served.restUrl}/armory/agent/operations?type=kubernetes-api`;
  const [row] = await waitFor(async () => {
    const rows = (await (await fetch(list)).json()) as readonly object[];
    return rows.length > 0 && rows;
  });
  t.match(row, { verb: 'create', object: { resource: 'jobs', namespace: 'shop', name: 'job-x2v9k' } });
});
