/** Whatever an agent says of itself is refused with the field's name, or is something that every database takes. */

import fc from 'fast-check';
import { GatewayError } from '../../../src/core/errors.js';
import { validateAccounts, validateRegistration } from '../../../src/gateway/agents/registration-request.js';
import { AssignmentStore } from '../../../src/store/assignments/assignments.js';
import type { AccountRegistration } from '../../../src/store/accounts/account-record.js';
import { onEveryMigratedEngine } from '../../store/engines.js';

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', '\0', 'a\0b', '\uD800', '😀'.repeat(127), '😀'.repeat(512), '\\', "'", '"', '{}', '\u2028'),
  fc.integer({ min: 0, max: 4_200 }).map((length) => 'x'.repeat(length)),
  fc.constantFrom(253, 254, 255, 256, 1_024, 1_025, 2_000).map((length) => 'é'.repeat(length)),
);
const account: fc.Arbitrary<AccountRegistration> = fc.record({
  name: fc.oneof({ weight: 9, arbitrary: fc.constant('account') }, { weight: 1, arbitrary: text }),
  kubeHost: text,
  kubeVersion: text,
  certFingerprint: text,
  maxWatchAgeSeconds: fc.nat({ max: 2 ** 32 - 1 }),
  namespaces: fc.array(text, { maxLength: 2 }),
  properties: fc.dictionary(text, text, { maxKeys: 2, noNullPrototype: true }),
});
/** Mostly one strange field, so that many accounts are taken. */
const plain = { kubeHost: '', kubeVersion: '', certFingerprint: '', namespaces: [], properties: {} };
const strange = fc
  .tuple(account, fc.subarray(['kubeHost', 'kubeVersion', 'certFingerprint', 'namespaces', 'properties'] as const))
  .map(([value, kept]) => ({ ...value, ...plain, ...Object.fromEntries(kept.map((key) => [key, value[key]])) }));
const signal = AbortSignal.timeout(120_000);
const version = fc.oneof(fc.constant('1.0'), text);

onEveryMigratedEngine(async (t, database) => {
  const store = new AssignmentStore(database, { leaseMs: 30_000 });
  let epoch = 0;
  let [taken, refused] = [0, 0];
  const property = fc.asyncProperty(strange, version, async (one, agentVersion) => {
    const request = {
      ...{ agentId: 'agent', zoneId: 'zone', version: agentVersion, processId: 'process-aaaaaaaaaaaa' },
      ...{ accounts: [one], dynamicAccounts: false, kubernetesApi: false },
    };
    try {
      validateRegistration(request, 10);
      validateAccounts('accounts_added.accounts', [one], 0, 10);
    } catch (error) {
      refused += 1;
      if (!(error instanceof GatewayError) || error.code !== 'invalid-argument') throw error;
      const field = String(error.details.field);
      return error.message.startsWith(`${field}: `) && /^register\.(?:version|accounts\[0\]\.[a-z_]+)/u.test(field);
    }
    taken += 1;
    epoch += 1;
    const { agentId, zoneId, processId } = request;
    const [claimed] = await store.claim({ instanceId: 'replica-1', agentId, zoneId, epoch, processId }, [one], signal);
    return claimed?.assignments[0]?.epoch === epoch && claimed.assignments[0].processId === processId;
  });
  await fc.assert(property, { numRuns: 150 });
  t.ok(taken > 20 && refused > 20, `${String(taken)} taken, ${String(refused)} refused`);
});
