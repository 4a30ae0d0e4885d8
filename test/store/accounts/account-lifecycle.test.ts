/** The lifecycle of dynamic accounts as a table, and what turns make of it, whatever the order of requests and events. */

import fc from 'fast-check';
import { test } from 'tap';
import {
  accountStatuses,
  afterTurn,
  aimOf,
  isServable,
  nextStatus,
  type AccountEvent,
  type AccountStatus,
  type NextStatus,
} from '../../../src/store/accounts/account-lifecycle.js';

const events: readonly AccountEvent[] = [
  ...(['activate', 'deactivate', 'delete', 'take', 'served', 'refused', 'abandoned', 'cleared', 'kept'] as const),
];

/** What the contract draws, and what a request may cut short. */
const legal: Readonly<Record<AccountStatus, readonly NextStatus[]>> = {
  INACTIVE: ['TO_MIGRATE', 'DELETING'],
  TO_MIGRATE: ['ACTIVATING', 'ACTIVE', 'TO_DEACTIVATE', 'DELETING'],
  ACTIVATING: ['ACTIVE', 'FAILED', 'TO_DEACTIVATE', 'DELETING'],
  ACTIVE: ['ORPHANED', 'TO_DEACTIVATE', 'DELETING'],
  TO_DEACTIVATE: ['DEACTIVATING', 'TO_MIGRATE', 'DELETING'],
  DEACTIVATING: ['INACTIVE', 'FAILED', 'TO_MIGRATE', 'DELETING'],
  DELETING: ['DELETED', 'DELETE_FAILED'],
  DELETE_FAILED: ['DELETING', 'TO_MIGRATE', 'TO_DEACTIVATE'],
  FAILED: ['ACTIVATING', 'ACTIVE', 'TO_MIGRATE', 'TO_DEACTIVATE', 'DELETING'],
  ORPHANED: ['ACTIVE', 'FAILED', 'TO_MIGRATE', 'TO_DEACTIVATE', 'DELETING'],
};

test('the documented ways', (t) => {
  const walk = (status: AccountStatus, ...path: readonly AccountEvent[]): NextStatus[] => {
    const visited: NextStatus[] = [];
    let at = status as NextStatus | undefined;
    for (const event of path) {
      at = at === undefined || at === 'DELETED' ? undefined : nextStatus(at, event);
      if (at !== undefined) visited.push(at);
    }
    return visited;
  };
  t.same(walk('INACTIVE', 'activate', 'take', 'served'), ['TO_MIGRATE', 'ACTIVATING', 'ACTIVE']);
  t.same(walk('ACTIVE', 'deactivate', 'take', 'cleared'), ['TO_DEACTIVATE', 'DEACTIVATING', 'INACTIVE']);
  t.same(walk('ACTIVE', 'abandoned', 'served'), ['ORPHANED', 'ACTIVE']);
  t.same(walk('ACTIVATING', 'refused', 'take', 'served'), ['FAILED', 'ACTIVATING', 'ACTIVE']);
  t.same(walk('ACTIVE', 'delete', 'kept', 'delete', 'cleared'), ['DELETING', 'DELETE_FAILED', 'DELETING', 'DELETED']);
  t.end();
});

test('no event leads anywhere else', (t) => {
  for (const status of accountStatuses) {
    for (const event of events) {
      const next = nextStatus(status, event);
      if (next !== undefined && next !== status) t.ok(legal[status].includes(next), `${status} -${event}-> ${next}`);
    }
    t.equal(nextStatus(status, 'delete') !== undefined, true, `${status} can be deleted`);
  }
  t.equal(nextStatus('DELETING', 'activate'), undefined);
  t.equal(isServable('INACTIVE'), false);
  t.equal(isServable('FAILED'), true);
  t.same(
    accountStatuses.filter((status) => aimOf(status) === undefined),
    ['INACTIVE', 'DELETE_FAILED'],
    'nothing is to be done for these',
  );
  t.end();
});

/** Requests, agents and the turns of three replicas, in any order. */
const step = fc.oneof(
  fc
    .constantFrom<AccountEvent>('activate', 'deactivate', 'delete')
    .map((event) => ({ kind: 'request', event }) as const),
  fc.constantFrom(true, false).map((assigned) => ({ kind: 'agents', assigned }) as const),
  fc
    .record({ served: fc.boolean(), refused: fc.boolean(), othersWait: fc.boolean() })
    .map((turn) => ({ kind: 'turn', ...turn }) as const),
);

test('any sequence of requests, agents and turns stays legal, and a failing account stops being retried', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 0, max: 4 }), (steps, maxRetries) => {
      let status = 'INACTIVE' as NextStatus;
      let failedCount = 0;
      let errorMessage: string | undefined;
      let assigned = false;
      const enter = (next: NextStatus): void => {
        if (next !== status && status !== 'DELETED' && !legal[status].includes(next)) {
          throw new Error(`${status} -> ${next}`);
        }
        status = next;
      };
      for (const at of steps) {
        if (status === 'DELETED') return;
        if (at.kind === 'request') {
          const next = nextStatus(status, at.event);
          if (next === undefined) continue;
          if (next !== status) failedCount = 0;
          enter(next);
        } else if (at.kind === 'agents') {
          if (at.assigned && !isServable(status)) continue;
          const next = nextStatus(status, at.assigned ? 'served' : 'abandoned');
          assigned = at.assigned;
          if (next !== undefined) enter(next);
          if (at.assigned) failedCount = 0;
        } else {
          const taken = nextStatus(status, 'take');
          if (taken === undefined) continue;
          enter(taken);
          const served = at.served && aimOf(status) === 'serve';
          if (served) assigned = true;
          const message = at.refused ? 'no' : undefined;
          const before = failedCount;
          const after = afterTurn(
            { served, message },
            { status, failedCount, errorMessage, assigned, othersWait: at.othersWait, zoneId: '', maxRetries },
          );
          enter(after.status);
          ({ failedCount, errorMessage } = after);
          if (after.next === 'retry' && before >= maxRetries) throw new Error('retried too often');
          if (failedCount > before && errorMessage === undefined) throw new Error('failed without a reason');
          if (after.next === 'now' && !at.othersWait) throw new Error('nobody is left to have a turn');
        }
      }
    }),
    { numRuns: 2_000 },
  );
  t.end();
});
