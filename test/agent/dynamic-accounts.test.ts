/** What an agent does with accounts that the gateway asks it to serve, and what a new connection says of them. */

import { test } from 'tap';
import { TellableError } from '../../src/core/errors.js';
import { silentLogger } from '../../src/core/logger.js';
import type { DynamicAccountHandler } from '../../src/agent/dynamic-accounts.js';
import type { AgentMessage } from '../../src/protocol/generated/ops/operations_pb.js';
import { waitFor } from '../wait.js';
import type { AgentStreamDouble } from './gateway-double.js';
import { setUp, streamOf } from './set-up.js';

const handler = (removed: string[] = []): DynamicAccountHandler => ({
  add: ({ name, definition }) => {
    if (definition === 'bad') return Promise.reject(new TellableError('the cluster refuses the credentials'));
    return Promise.resolve({ kubeHost: `https://${name}` });
  },
  remove: (name) => {
    if (name === 'stuck') return Promise.reject(new TellableError('it is busy'));
    removed.push(name);
    return Promise.resolve();
  },
});

/** What the agent said of accounts, as text. */
function said({ received }: AgentStreamDouble): string[] {
  return received.flatMap((message: AgentMessage['message']) => {
    if (message.case !== 'accountsAdded' && message.case !== 'accountsRemoved') return [];
    const named =
      message.case === 'accountsAdded'
        ? message.value.accounts.map(({ name, dynamicVersion }) => `+${name}@${dynamicVersion}`)
        : message.value.names.map((name) => `-${name}`);
    return [...named, ...message.value.failures.map(({ name, message: why }) => `${name}: ${why}`)];
  });
}

const saidAll = (stream: AgentStreamDouble, count: number): Promise<string[]> =>
  waitFor(() => (said(stream).length >= count ? said(stream) : undefined), { description: `${count} answers` });

test('accounts are served, refused, updated and given up', async (t) => {
  const removed: string[] = [];
  const set = await setUp(t, { dynamicAccounts: handler(removed) });
  const stream = await streamOf(set, 0);
  t.equal(stream.registration?.dynamicAccounts, true, 'the agent says that it takes them');
  stream.send({
    case: 'addAccounts',
    value: {
      accounts: [
        { name: 'new', version: 7n },
        { name: 'sick', version: 7n, definition: 'bad' },
        { name: 'a', version: 7n },
        { name: 'stuck', version: 1n },
      ],
    },
  });
  t.same((await saidAll(stream, 4)).toSorted(), [
    '+new@7',
    '+stuck@1',
    'a: the agent\'s own configuration already has an account "a"',
    'sick: the cluster refuses the credentials',
  ]);
  t.same([...set.connection.dynamicAccounts].toSorted(), ['new', 'stuck']);
  stream.send({ case: 'addAccounts', value: { accounts: [{ name: 'new', version: 8n }] } });
  t.same((await saidAll(stream, 5)).at(-1), '+new@8');
  stream.send({ case: 'deleteAccounts', value: { names: ['new', 'stuck', 'b', 'nobody'] } });
  t.same((await saidAll(stream, 9)).slice(5).toSorted(), [
    '-new',
    '-nobody',
    `b: account "b" is in the agent's own configuration`,
    'stuck: it is busy',
  ]);
  t.same(removed, ['new']);
  t.same(set.connection.dynamicAccounts, ['stuck']);
});

test('a new connection registers them again, with what changed while it was dialled', async (t) => {
  let finish = (): void => undefined;
  const slow = new Promise<void>((resolve) => (finish = resolve));
  const set = await setUp(t, {
    dynamicAccounts: {
      add: async ({ name }) => {
        if (name === 'slow') await slow;
        return {};
      },
      remove: () => Promise.resolve(),
    },
  });
  const first = await streamOf(set, 0);
  first.send({
    case: 'addAccounts',
    value: {
      accounts: [
        { name: 'one', version: 3n },
        { name: 'slow', version: 4n },
      ],
    },
  });
  await saidAll(first, 1);
  first.send({ case: 'reconnect', value: {} });
  const second = await streamOf(set, 1);
  t.same(
    second.registration?.accounts.map(({ name, dynamicVersion }) => [name, dynamicVersion]),
    [
      ['a', 0n],
      ['b', 0n],
      ['one', 3n],
    ],
  );
  finish();
  await waitFor(() => [...said(first), ...said(second)].includes('+slow@4'));
  t.pass('what was ready later is told on the stream that serves then');
});

test('an agent that takes none says so', async (t) => {
  const set = await setUp(t);
  const stream = await streamOf(set, 0);
  t.equal(stream.registration?.dynamicAccounts, false);
  stream.send({ case: 'addAccounts', value: { accounts: [{ name: 'new', version: 7n }] } });
  t.same(await saidAll(stream, 1), ['new: this agent does not take dynamic accounts']);
});

test('of a fault while an account is added or removed the gateway is told nothing, and the log has it', async (t) => {
  const logged: object[] = [];
  const fault = new TypeError("Cannot read properties of null (reading 'clusters')");
  const set = await setUp(t, {
    logger: { ...silentLogger, error: (fields) => logged.push(fields) },
    dynamicAccounts: {
      add: ({ definition }) => (definition === 'bad' ? Promise.reject(fault) : Promise.resolve({})),
      remove: () => Promise.reject(fault),
    },
  });
  const stream = await streamOf(set, 0);
  const accounts = [
    { name: 'one', version: 7n, definition: 'bad' },
    { name: 'two', version: 7n },
  ];
  stream.send({ case: 'addAccounts', value: { accounts } });
  await saidAll(stream, 2);
  stream.send({ case: 'deleteAccounts', value: { names: ['two'] } });
  const answers = await saidAll(stream, 3);
  const told = 'internal error of the agent; see its log for account';
  t.same(answers.toSorted(), ['+two@7', `one: ${told} "one"`, `two: ${told} "two"`]);
  t.same(logged, [
    { account: 'one', error: fault },
    { account: 'two', error: fault },
  ]);
});
