/** `agent-gateway status`: what is wrong in the whole cluster, since when, and why. */

import { command } from '../command-line/command.js';
import { exitCodes } from './exit-code.js';
import { gatewayFlags } from './flags.js';
import { format, reasonText, table, type Column } from './output.js';
import type { Shape } from './rest-client.js';
import { openSession } from './session.js';

/** The part of `GET /armory/attention` that the table shows. */
export interface ClusterStatus {
  readonly ok: boolean;
  readonly instances: { readonly ready: number; readonly expected: number; readonly items: readonly Health[] };
  readonly failures: { readonly accounts: number; readonly more: boolean; readonly items: readonly Failing[] };
  readonly accounts: {
    readonly served: number;
    readonly offline: number;
    readonly items: readonly Gone[];
    readonly uncached: number;
    readonly uncachedNames: readonly string[];
  };
  readonly agents: {
    readonly connected: number;
    readonly missing: number;
    readonly items: readonly (Omit<Gone, 'name' | 'lastAgentId'> & { readonly agentId: string })[];
  };
  readonly problems: readonly { readonly part: string; readonly error: string }[];
}

interface Health {
  readonly clouddriverId: string;
  readonly state: string;
  readonly since?: string;
  readonly reason?: string;
  readonly replacedBy?: string;
}

interface Failing {
  readonly account: string;
  readonly last15Minutes: number;
  readonly lastHour: number;
  readonly ongoing: boolean;
  readonly since: string;
  readonly orEarlier: boolean;
  readonly lastOutcome: string;
  readonly lastMessage?: string;
}

interface Gone {
  readonly name: string;
  readonly offlineSince: string;
  readonly lastAgentId: string;
  readonly lastClouddriverId: string;
  readonly reason: string;
  readonly message?: string;
}

const shape: Shape<ClusterStatus> = {
  ok: 'boolean',
  instances: 'object',
  failures: 'object',
  accounts: 'object',
  agents: 'object',
  problems: 'object',
};

const healthColumns: readonly Column<Health>[] = [
  ['INSTANCE', ({ clouddriverId }) => clouddriverId],
  ['STATE', ({ state, replacedBy }) => (replacedBy === undefined ? state : `${state}, replaced by ${replacedBy}`)],
  ['SINCE', ({ since }) => since ?? ''],
  ['REASON', ({ reason }) => reason ?? ''],
];

const failingColumns: readonly Column<Failing>[] = [
  ['ACCOUNT', ({ account }) => account],
  ['15 MIN', ({ last15Minutes }) => String(last15Minutes)],
  ['1 HOUR', ({ lastHour }) => String(lastHour)],
  ['SINCE', ({ since, orEarlier }) => (orEarlier ? `before ${since}` : since)],
  ['NOW', ({ ongoing }) => (ongoing ? 'failing' : 'completing again')],
  ['LAST FAILURE', ({ lastOutcome, lastMessage }) => reasonText(lastOutcome, lastMessage)],
];

const accountColumns: readonly Column<Gone>[] = [
  ['ACCOUNT', ({ name }) => name],
  ['OFFLINE SINCE', ({ offlineSince }) => offlineSince],
  ['LAST AGENT', ({ lastAgentId }) => lastAgentId],
  ['LAST INSTANCE', ({ lastClouddriverId }) => lastClouddriverId],
  ['REASON', ({ reason, message }) => reasonText(reason, message)],
];

const agentColumns: readonly Column<ClusterStatus['agents']['items'][number]>[] = [
  ['AGENT', ({ agentId }) => agentId],
  ['OFFLINE SINCE', ({ offlineSince }) => offlineSince],
  ['LAST INSTANCE', ({ lastClouddriverId }) => lastClouddriverId],
  ['REASON', ({ reason, message }) => reasonText(reason, message)],
];

export const statusCommand = command({
  name: 'status',
  summary: 'Show what is wrong in the whole cluster, since when, and why.',
  arguments: [],
  flags: gatewayFlags,
  run: async ({ flags }, io) => {
    const { client, form } = openSession(flags, io);
    const status = await client.one<ClusterStatus>('/armory/attention', shape);
    io.stdout.write(form === 'table' ? statusText(status) : format(form, status, []));
    return exitCodes.done;
  },
});

/** The worst first; a part in which nothing is wrong is one line at the end. */
export function statusText({ ok, instances, failures, accounts, agents, problems }: ClusterStatus): string {
  const parts: string[] = [];
  for (const { part, error } of problems) parts.push(`UNKNOWN: ${part} cannot be read: ${error}\n`);
  const unwell = instances.items.filter(({ state, reason }) => state !== 'ready' || reason !== undefined);
  const ready = `${String(instances.ready)} of ${String(instances.expected)} instances are ready`;
  if (unwell.length > 0) parts.push(`${ready}\n${table(unwell, healthColumns)}`);
  if (failures.items.length > 0) {
    const many = failures.more ? ', and more failures than could be counted' : '';
    const heading = `operations of ${counted(failures.accounts, 'account')} failed within the last hour${many}`;
    parts.push(`${heading}\n${table(failures.items, failingColumns)}${rest(failures.accounts, failures.items)}`);
  }
  if (accounts.offline > 0) {
    const heading = `${counted(accounts.offline, 'account')} offline: no agent serves them`;
    parts.push(`${heading}\n${table(accounts.items, accountColumns)}${rest(accounts.offline, accounts.items)}`);
  }
  if (agents.missing > 0) {
    const heading = `${counted(agents.missing, 'agent')} missing`;
    parts.push(`${heading}\n${table(agents.items, agentColumns)}${rest(agents.missing, agents.items)}`);
  }
  if (accounts.uncached > 0) {
    const names = table(
      accounts.uncachedNames.map((name) => ({ name })),
      [['ACCOUNT', ({ name }) => name]],
    );
    const heading = `${counted(accounts.uncached, 'account')} served, but cached by no agent`;
    parts.push(`${heading}\n${names}${rest(accounts.uncached, accounts.uncachedNames)}`);
  }
  const connected = `${counted(agents.connected, 'agent')} connected, ${counted(accounts.served, 'account')} served`;
  parts.push(`${ok ? 'ok: ' : ''}${ready}, ${connected}\n`);
  return parts.join('\n');
}

function counted(count: number, what: string): string {
  return `${String(count)} ${what}${count === 1 ? '' : 's'}`;
}

function rest(count: number, items: readonly unknown[]): string {
  return count > items.length ? `and ${String(count - items.length)} more\n` : '';
}
