/** Accounts as properties of a Spring Cloud Config Server. */

import { test } from 'tap';
import {
  configEnvironment,
  configVersion,
  type AccountOptions,
} from '../../../src/gateway/spinnaker/config-environment.js';
import { bind } from './config-client-double.js';

interface Answer {
  readonly version: string;
  readonly propertySources: readonly { readonly name: string; readonly source: Readonly<Record<string, unknown>> }[];
  readonly [field: string]: unknown;
}

async function answer(accounts: readonly AccountOptions[], label?: string): Promise<Answer> {
  const request = { application: 'clouddriver', profiles: 'composite,local', label };
  let text = '';
  for await (const piece of configEnvironment(request, accounts)) text += piece;
  return JSON.parse(text) as Answer;
}

const account = (name: string, options: Readonly<Record<string, never>> | object = {}): AccountOptions => ({
  name,
  kubeconfigContents: 'apiVersion: v1\nusers: []\n',
  namespaces: ['a', 'b'],
  permissions: { READ: ['dev', 'ops'], WRITE: ['ops'] },
  checkPermissionsOnStartup: false,
  ...options,
});

test('the form of Spring Cloud Config Server', async (t) => {
  const { version, ...rest } = await answer([account('eu'), account('us', { namespaces: [], permissions: undefined })]);
  t.match(version, /^[0-9a-f]{64}$/u);
  t.same(rest, {
    name: 'clouddriver',
    profiles: ['composite', 'local'],
    label: null,
    state: null,
    propertySources: [
      {
        name: 'agent-gateway',
        source: {
          'kubernetes.enabled': true,
          'kubernetes.accounts[0].name': 'eu',
          'kubernetes.accounts[0].kubeconfigContents': 'apiVersion: v1\nusers: []\n',
          'kubernetes.accounts[0].namespaces[0]': 'a',
          'kubernetes.accounts[0].namespaces[1]': 'b',
          'kubernetes.accounts[0].permissions.READ[0]': 'dev',
          'kubernetes.accounts[0].permissions.READ[1]': 'ops',
          'kubernetes.accounts[0].permissions.WRITE[0]': 'ops',
          'kubernetes.accounts[0].checkPermissionsOnStartup': false,
          'kubernetes.accounts[1].name': 'us',
          'kubernetes.accounts[1].kubeconfigContents': 'apiVersion: v1\nusers: []\n',
          'kubernetes.accounts[1].checkPermissionsOnStartup': false,
        },
      },
    ],
  });
  t.same((await answer([], 'release(_)1'))['label'], 'release/1', 'a slash of a label, as clients send it');
  t.same(bind(await answer([])), [], 'no accounts');
});

test('what Spring binds is what was given, however many there are', async (t) => {
  for (const count of [1, 31, 32, 33, 100]) {
    const accounts = Array.from({ length: count }, (_, index) => account(`account-${index}`));
    t.same(bind(await answer(accounts)), accounts, `${count}`);
  }
});

test('the version changes with the accounts, and with nothing else', async (t) => {
  const accounts = [account('eu'), account('us')];
  const { version } = await answer(accounts);
  t.equal(await configVersion(accounts), version);
  t.equal((await answer(accounts, 'label')).version, version);
  const others = [
    [account('eu')],
    [account('eu'), account('us', { namespaces: ['a'] })],
    [account('eu'), account('us', { kubeconfigContents: 'renewed' })],
    [account('us'), account('eu')],
  ];
  for (const other of others) t.not(await configVersion(other), version);
});

test('other requests have their turn while thousands are written', async (t) => {
  const accounts = Array.from({ length: 2_000 }, (_, index) =>
    account(`account-${index}`, { kubeconfigContents: 'x'.repeat(4_000) }),
  );
  let turns = 0;
  let done = false;
  const count = (): void => {
    turns += 1;
    if (!done) setImmediate(count);
  };
  setImmediate(count);
  await configVersion(accounts);
  done = true;
  t.ok(turns >= 2_000 / 32 - 1, `${turns} turns`);
});
