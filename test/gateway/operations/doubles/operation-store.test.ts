/** The double of the operations' tables answers as the tables of every engine do: the same calls, compared one by one. */

import { OperationStore } from '../../../../src/store/operations/operations.js';
import { onEveryMigratedEngine } from '../../../store/engines.js';
import { finished, operation } from '../../../store/fixtures.js';
import { OperationStoreDouble } from './operation-store.js';

type Calls = Pick<OperationStore, keyof OperationStore & keyof OperationStoreDouble>;

const [first, second, third, fourth] = ['01A', '01B', '01C', '01D'];
const binding = { agentId: 'agent-2', epoch: 7 };

const idsOf = async (store: Calls, filter: { readonly receivedByInstanceId?: string; readonly after?: string }) =>
  (await store.unfinished({ ...filter, limit: 10 })).map(({ id }) => id);
const outcomeOf = async (store: Calls, id: string) => {
  const record = await store.find(id);
  return record && [record.operationId, record.digest, record.finalOutcome, record.receivedBy];
};

/** In their order: each is made of what the ones before have left. */
const calls: Readonly<Record<string, (store: Calls) => Promise<unknown>>> = {
  'a new id is inserted': (store) => store.insert([operation(first), operation(second)]),
  'one that is pending is told with its digest': (store) => store.insert([operation(first, { digest: 'other' })]),
  'new ones are inserted unseen': (store) => store.insertNew([operation(third), operation(fourth)]),
  'all are unfinished, in the order of their ids': (store) => idsOf(store, {}),
  'a page begins after an id': (store) => idsOf(store, { after: second }),
  'one is found while it is pending': (store) => outcomeOf(store, first),
  'one that nobody sent is not': (store) => outcomeOf(store, '01Z'),
  'one is bound to a process': (store) => store.bind(first, binding),
  'one that nobody sent is not bound': (store) => store.bind('01Z', binding),
  'a bound one shows its agent': async (store) => {
    const [bound] = await store.unfinished({ limit: 1 });
    return [bound?.agentId, bound?.agentEpoch];
  },
  'one is withdrawn': (store) => store.withdraw(fourth, 'replica-1'),
  'one that is withdrawn is gone': (store) => idsOf(store, {}),
  'one that is gone is withdrawn': (store) => store.withdraw(fourth, 'replica-1'),
  'one is adopted': (store) => store.adopt([third], 'replica-2'),
  'an adopted one is still listed for the instance that was asked': (store) =>
    idsOf(store, { receivedByInstanceId: 'replica-1' }),
  'and for no other one': (store) => idsOf(store, { receivedByInstanceId: 'replica-2' }),
  'an adopted one cannot be withdrawn by the other one': (store) => store.withdraw(third, 'replica-1'),
  'the first outcome stays': async (store) => [
    await store.finish([finished(first)]),
    await store.finish([finished(first, { finalOutcome: 'failed' })]),
    await outcomeOf(store, first),
  ],
  'one that has ended is told with its outcome': (store) => store.insert([operation(first)]),
  'one that has ended is not bound': (store) => store.bind(first, binding),
  'one that was never stored is noted': async (store) => {
    await store.note([finished('01N')]);
    return outcomeOf(store, '01N');
  },
  'what is left is unfinished': (store) => idsOf(store, {}),
};

onEveryMigratedEngine(async (t, database) => {
  const tables = new OperationStore(database);
  const double = new OperationStoreDouble();
  for (const [name, call] of Object.entries(calls)) t.strictSame(await call(double), await call(tables), name);
});
