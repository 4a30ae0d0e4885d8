/**
 * The samples of `agent-gateway status` in docs/runbook.md are what the command prints: nights as the store reads them, told by
 * the gateway, printed by the client. With `--write` it writes them.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'tap';
import { statusText } from '../../src/client/status-command.js';
import { attention } from '../../src/gateway/attention/attention.js';
import { ClusterReader, type ClusterReaderOptions } from '../../src/gateway/attention/cluster-reader.js';
import type { ReadinessReport } from '../../src/gateway/telemetry/readiness.js';
import type { ConnectedAgent } from '../../src/store/assignments/assignments.js';
import type { AccountFailures } from '../../src/store/operations/failures.js';
import type { OfflineAgent } from '../../src/store/presence/presence-record.js';

const runbook = new URL('../../docs/runbook.md', import.meta.url);
const suffixes = ['k8sx2', 'x2x9k', 'zq4lm'];
const ids = suffixes.map((suffix) => `gateway-7d9c5b8f6-${suffix}`);
const at = (time: string): number => Date.parse(`2026-03-01T${time}Z`);
const members = ids.map((id, index) => ({
  id,
  baseUrl: `http://10.0.15.24${String(index)}:7002`,
  ready: true,
  lastUpdated: 0,
}));

interface Night {
  readonly failures?: readonly AccountFailures[];
  readonly offline?: readonly OfflineAgent[];
  /** Index of a replica that was killed, and its last sign of life. */
  readonly lost?: { readonly index: number; readonly time: number };
  readonly unready?: { readonly since: number; readonly detail: string };
}

function agent(zone: string, name: string): ConnectedAgent {
  const accounts = [`prod-${zone}`];
  return {
    agentId: name,
    instanceId: ids[2] ?? '',
    accounts,
    cachedAccounts: accounts,
    lastConnectionTime: at('00:00:00'),
  };
}

const connected = [agent('eu', 'eu-7c9f-x2x9k'), agent('us', 'us-5d4b-qq2lw')];

/** What `agent-gateway status` prints in a night. */
async function printed({ failures = [], offline = [], lost, unready }: Night): Promise<string> {
  const records = members.map(({ id, baseUrl }) => ({
    id,
    baseUrl,
    version: '1.4.0',
    agents: 1,
    lastHeartbeatTime: 0,
    firstSeenTime: 0,
  }));
  const report: ReadinessReport =
    unready === undefined
      ? { ready: true, status: 'ready', since: 0, checks: {} }
      : {
          ready: false,
          status: 'degraded',
          since: unready.since,
          checks: { sql: { ok: false, detail: unready.detail } },
        };
  const left = members.filter((_, index) => index !== lost?.index);
  const reader = new ClusterReader({
    assignments: {
      list: async function* () {
        yield* await Promise.resolve(connected);
      },
    },
    presence: {
      offline: () =>
        Promise.resolve({
          agents: offline,
          accounts: offline.flatMap((lastAgent) => lastAgent.accounts.map((name) => ({ name, lastAgent }))),
          truncated: false,
        }),
    },
    operations: { failures: () => Promise.resolve({ accounts: failures, total: failures.length, more: false }) },
    instances: {
      live: () => Promise.resolve(records.filter((_, index) => index !== lost?.index)),
      lost: () =>
        Promise.resolve(
          records.flatMap((record, index) =>
            index === lost?.index ? [{ ...record, lastHeartbeatTime: lost.time }] : [],
          ),
        ),
    },
    everyInstance: {
      ask: () => Promise.resolve(left.map(({ id: instanceId }) => ({ instanceId, answer: report }))) as never,
    },
    readiness: { report: () => report },
    ...{ leaseMs: 5_000, stopping: new AbortController().signal, now: () => at('03:20:00') },
  } satisfies ClusterReaderOptions);
  await reader.refresh();
  return statusText(attention(reader, { instances: () => left }, ids[1] ?? ''));
}

function failing(fields: Omit<AccountFailures, 'orEarlier'>): AccountFailures {
  return { ...fields, orEarlier: false };
}

const id = '01KJM7Q9ZT3V5X8W2N4R6C1D0E';
const nights: readonly Night[] = [
  {
    failures: [
      failing({
        ...{ account: 'prod-eu', last15Minutes: 212, lastHour: 655, ongoing: true, since: at('03:12:07.512') },
        last: {
          operationId: id,
          time: 0,
          outcome: 'timed out',
          message: `operation ${id} had no result after 60000 ms`,
        },
      }),
      failing({
        ...{ account: 'prod-us', last15Minutes: 0, lastHour: 3, ongoing: false, since: at('02:40:11.090') },
        last: {
          ...{ operationId: id, time: 0, outcome: 'agent lost' },
          message: `agent us-5d4b-qq2lw disconnected during operation ${id} and did not come back in time; the operation may have been executed`,
        },
      }),
    ],
  },
  {
    lost: { index: 0, time: at('03:12:07.512') },
    offline: [
      {
        ...{
          agentId: 'ap-6f7d-9kz2x',
          zoneId: 'ap',
          version: '1.4.0',
          instanceId: ids[1] ?? '',
          accounts: ['prod-ap'],
        },
        ...{ connectedTime: 0, goneTime: at('03:12:31.004'), reason: 'connection lost' },
        message: 'the stream was reset, or its connection broke',
      },
    ],
  },
  {
    unready: {
      since: at('03:12:07.512'),
      detail:
        'no heartbeat was written to the database within the lease (sql.url): the database at mysql:3306 accepts no changes: its disk is full',
    },
  },
];

test('samples of the runbook are what the command prints', async (t) => {
  const expected = await Promise.all(nights.map(printed));
  let text = readFileSync(runbook, 'utf8');
  const samples = /(?<=^```\n\$ agent-gateway status\n).*?(?=^```$)/gmsu;
  if (process.argv.includes('--write')) {
    const written = expected.values();
    text = text.replaceAll(samples, () => written.next().value ?? '');
    writeFileSync(runbook, text);
  }
  t.strictSame(text.match(samples), expected);
});

test('messages in the samples are those of the gateway', (t) => {
  const messages = [
    ['operations/acceptance.ts', 'had no result after'],
    ['operations/acceptance.ts', 'and did not come back in time; the operation may have been executed'],
    ['grpc/operations-service.ts', 'the stream was reset, or its connection broke'],
    ['telemetry/readiness.ts', 'no heartbeat was written to the database within the lease (sql.url)'],
    ['../store/sql/sql-error.ts', 'accepts no changes'],
    ['../store/sql/sql-error.ts', 'its disk is full'],
  ] as const;
  const source = (path: string) => readFileSync(new URL(`../../src/gateway/${path}`, import.meta.url), 'utf8');
  const samples = readFileSync(runbook, 'utf8');
  for (const [path, message] of messages) {
    t.ok(source(path).includes(message), message);
    t.ok(samples.includes(message), message);
  }
  t.end();
});
