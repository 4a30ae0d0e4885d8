/** Operations in protobuf JSON: read as the library reads them, whatever their base64 looks like. */

import { fromJson, toBinary, type JsonObject } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { test } from 'tap';
import { operationFromJson } from '../../../src/gateway/rest/operation-json.js';
import { OperationSchema } from '../../../src/protocol/generated/ops/operations_pb.js';

/** As bytes, or why not. */
function outcome(read: () => ReturnType<typeof operationFromJson>): string {
  try {
    return Buffer.from(toBinary(OperationSchema, read())).toString('hex');
  } catch (error) {
    return String(error);
  }
}

const requests: Readonly<Record<string, (bytes: unknown) => JsonObject>> = {
  deploy: (bytes) => ({ deploy: { manifest: bytes as string, mode: 'MODE_CREATE' } }),
  patch: (bytes) => ({ patch: { object: { name: 'web' }, patch: bytes as string } }),
  'run_job, as the proto file names it': (bytes) => ({ run_job: { manifest: bytes as string } }),
  runJob: (bytes) => ({ runJob: { manifest: bytes as string } }),
  'two requests': (bytes) => ({ deploy: { manifest: bytes as string }, runJob: { manifest: bytes as string } }),
  'an unknown field': (bytes) => ({ deploy: { manifest: bytes as string, no: 1 } }),
};

const base64 = Buffer.from('{"kind":"Deployment"}??>>').toString('base64');
const values: readonly unknown[] = [
  base64,
  base64.replace(/=+$/u, ''),
  base64.replaceAll('+', '-').replaceAll('/', '_'),
  `${base64.slice(0, 8)}\n${base64.slice(8)}`,
  `${base64.slice(0, 8)}====${base64.slice(8)}`,
  `${base64.slice(0, 8)}%%%%${base64.slice(8)}`,
  'YQ==YQ==',
  'YR==',
  'Y===',
  '====',
  'YQ=A',
  '',
  'é'.repeat(4),
  null,
  7,
  ['YQ=='],
];

for (const [name, request] of Object.entries(requests)) {
  test(`${name}: the library reads the same`, (t) => {
    for (const value of values) {
      const json = { account: 'prod', ...request(value) };
      const before = JSON.stringify(json);
      t.equal(
        outcome(() => operationFromJson(json)),
        outcome(() => fromJson(OperationSchema, json)),
        JSON.stringify(value),
      );
      t.equal(JSON.stringify(json), before, 'and what was sent stays as it is');
    }
    t.end();
  });
}

test('random texts of the letters of base64', (t) => {
  const text = fc.string({ unit: fc.constantFrom(...Array.from('AQYZaz09+/-_= \n%')), maxLength: 24 });
  fc.assert(
    fc.property(text, (manifest) => {
      const json = { deploy: { manifest } };
      return outcome(() => operationFromJson(json)) === outcome(() => fromJson(OperationSchema, json));
    }),
    { numRuns: 5_000 },
  );
  t.end();
});

test('a large manifest is the same, too', (t) => {
  const json = { deploy: { manifest: Buffer.alloc(100_003, 'abc"\\é').toString('base64') } };
  t.equal(
    outcome(() => operationFromJson(json)),
    outcome(() => fromJson(OperationSchema, json)),
  );
  t.end();
});
