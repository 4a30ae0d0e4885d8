/** Results as JSON: the short cut for bytes gives what the library gives. */

import { create, toJson } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { test } from 'tap';
import { resultJson } from '../../../src/gateway/rest/encoding.js';
import { OperationResultSchema } from '../../../src/protocol/generated/ops/operations_pb.js';

const bytes = fc.uint8Array({ maxLength: 200 });

test('a result is written as the library writes it', (t) => {
  const bodies = fc.oneof(
    fc.constant({ case: undefined }),
    fc.record({
      case: fc.constant('objects' as const),
      value: fc.record({ manifests: fc.array(bytes), continue: fc.string() }),
    }),
    fc.record({ case: fc.constant('logs' as const), value: fc.record({ text: bytes }) }),
    fc.record({
      case: fc.constant('accessReview' as const),
      value: fc.record({ allowed: fc.boolean(), reason: fc.string() }),
    }),
  );
  const results = fc.record({
    operationId: fc.string(),
    status: fc.integer({ min: -1, max: 999 }),
    message: fc.string(),
    body: bodies,
  });
  const property = fc.property(results, (init) => {
    const message = create(OperationResultSchema, { ...init, route: { sentToAgentId: 'agent', sentTimeMs: 7n } });
    t.strictSame(resultJson(message), toJson(OperationResultSchema, message));
  });
  fc.assert(property, { numRuns: 200 });
  t.end();
});
