/** The name of an object, by its beginning. */

import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { test } from 'tap';
import { objectName } from '../../../src/gateway/kubernetes-api/object-name.js';

const namesOf = (body: string | Uint8Array) => {
  const { name, generateName } = objectName(Buffer.from(body));
  return [name, generateName];
};

/** As the API server and client-go write it: runtime.Unknown around the object, whose first field is its ObjectMeta. */
function protobuf(name: string, generateName: string, data = 'x'): Uint8Array {
  const field = (writer: BinaryWriter, number: number) => writer.tag(number, WireType.LengthDelimited);
  const type = field(field(new BinaryWriter(), 1).string('v1'), 2).string('ConfigMap').finish();
  const metadata = field(field(field(new BinaryWriter(), 1).string(name), 2).string(generateName), 3).string('shop');
  const object = field(field(new BinaryWriter(), 1).bytes(metadata.finish()), 2).string(data).finish();
  return Buffer.concat([
    Buffer.from('k8s\0'),
    field(field(new BinaryWriter(), 1).bytes(type), 2).bytes(object).finish(),
  ]);
}

const long = 'x'.repeat(70_000);

test('JSON', (t) => {
  t.same(namesOf('{"kind":"ConfigMap","metadata":{"name":"settings"}}'), ['settings', '']);
  t.same(namesOf('{"metadata":{"labels":{"name":"wrong"},"name":"settings"}}'), ['settings', '']);
  t.same(namesOf('{"metadata":{"generateName":"job-"}}'), ['', 'job-']);
  t.equal(namesOf(`{"metadata":{"name":"${'x'.repeat(300)}"}}`)[0]?.length, 253);
  for (const body of ['{"metadata":{"name":5}}', '{"metadata":null}', '{"metadata":"a"}', '{}', '{x', ''])
    t.same(namesOf(body), ['', ''], body);
  t.same(namesOf(`{"metadata":{"name":"a"},"data":"${long}"}`), ['', ''], 'too long to read');
  const kind = '"kind":"ConfigMap","apiVersion":"v1"';
  t.same(namesOf(`{${kind},"metadata":{"name":"a"},"data":"${long}"}`), ['a', ''], 'unless it begins as usual');
  t.same(namesOf(`{\n  "kind": "Job",\n  "apiVersion": "batch/v1",\n  "metadata": {\n    "name": "b",\n`), ['b', '']);
  t.same(namesOf(`{${kind},"data":{"metadata":{"name":"wrong"}},"metadata":{"name":"a"}}`), ['a', '']);
  t.end();
});

test('protobuf', (t) => {
  t.same(namesOf(protobuf('settings', '')), ['settings', '']);
  t.same(namesOf(protobuf('', 'job-')), ['', 'job-']);
  t.same(namesOf(protobuf('settings', '', long)), ['settings', ''], 'the rest is not looked at');
  t.same(namesOf(protobuf('settings', '').subarray(0, 60)), ['settings', ''], 'nor is it needed');
  for (const length of [4, 5, 10, 25]) t.same(namesOf(protobuf('settings', '').subarray(0, length)), ['', '']);
  t.same(namesOf(Buffer.concat([Buffer.from('k8s\0'), Buffer.alloc(100, 0xff)])), ['', '']);
  t.end();
});

test('YAML', (t) => {
  const manifest = `# metadata:
apiVersion: v1
data:
  metadata: |
    name: wrong
kind: ConfigMap
metadata: # of it

  annotations:
    name: wrong
  labels: {name: wrong}
  name: settings # its name
data2:
  name: wrong
`;
  t.same(namesOf(manifest), ['settings', '']);
  t.same(namesOf(manifest.replaceAll('\n', '\r\n')), ['settings', '']);
  t.same(namesOf('metadata:\n    generateName: "job-"\n'), ['', 'job-']);
  t.same(namesOf("metadata:\n  name: 'system:auth'\n"), ['system:auth', '']);
  t.same(namesOf(`metadata:\n  name: a\ndata:\n  x: ${long}\n`), ['a', '']);
  for (const body of [
    'metadata: {name: a}',
    'metadata:\n  name: &x a',
    'metadata:\n  name: "a\\u0062"',
    'name: a',
    'ok',
  ])
    t.same(namesOf(body), ['', ''], `${body}: the answer has to say it`);
  t.end();
});
