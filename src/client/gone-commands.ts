/** What was here and is not: `agents|accounts|instances --offline`, and `forget agent|instance`. */

import { command, type Command } from '../command-line/command.js';
import { toggle } from '../command-line/flags.js';
import { firstNames } from '../core/first-names.js';
import { exitCodes } from './exit-code.js';
import { gatewayFlags } from './flags.js';
import { format, reasonText, type Column, type OutputForm } from './output.js';
import { pathOf, type RestClient, type Shape } from './rest-client.js';
import { openSession } from './session.js';

interface OfflineAgent {
  readonly agentId: string;
  readonly accounts: readonly string[];
  readonly clouddriverId: string;
  readonly offlineSince: string;
  readonly offlineReason: string;
  readonly offlineMessage?: string;
  readonly replacedBy?: string;
}

interface OfflineAccount {
  readonly name: string;
  readonly offlineSince: string;
  readonly lastAgentId: string;
  readonly lastClouddriverId: string;
  readonly offlineReason: string;
  readonly offlineMessage?: string;
}

interface LostInstance {
  readonly id: string;
  readonly lostSince: string;
  readonly reason: string;
  readonly replacedBy?: string;
}

/** Names of accounts in one cell of a table. */
const shownAccounts = 3;

const agentShape: Shape<OfflineAgent> = { agentId: 'string', accounts: 'object', offlineSince: 'string' };
const accountShape: Shape<OfflineAccount> = { name: 'string', offlineSince: 'string', offlineReason: 'string' };
const instanceShape: Shape<LostInstance> = { id: 'string', lostSince: 'string', reason: 'string' };

const agentColumns: readonly Column<OfflineAgent>[] = [
  ['AGENT', ({ agentId }) => agentId],
  ['OFFLINE SINCE', ({ offlineSince }) => offlineSince],
  ['LAST INSTANCE', ({ clouddriverId }) => clouddriverId],
  ['REPLACED BY', ({ replacedBy }) => replacedBy ?? ''],
  ['ACCOUNTS', ({ accounts }) => firstNames(accounts, shownAccounts)],
  ['REASON', ({ offlineReason, offlineMessage }) => reasonText(offlineReason, offlineMessage)],
];

const accountColumns: readonly Column<OfflineAccount>[] = [
  ['ACCOUNT', ({ name }) => name],
  ['OFFLINE SINCE', ({ offlineSince }) => offlineSince],
  ['LAST AGENT', ({ lastAgentId }) => lastAgentId],
  ['LAST INSTANCE', ({ lastClouddriverId }) => lastClouddriverId],
  ['REASON', ({ offlineReason, offlineMessage }) => reasonText(offlineReason, offlineMessage)],
];

const instanceColumns: readonly Column<LostInstance>[] = [
  ['INSTANCE', ({ id }) => id],
  ['LOST SINCE', ({ lostSince }) => lostSince],
  ['REPLACED BY', ({ replacedBy }) => replacedBy ?? ''],
  ['REASON', ({ reason }) => reason],
];

/** `--offline` of the three lists. */
export const offlineFlag = toggle('those that were here and are not, with since when and why');

export type OfflineShow = (client: RestClient, form: OutputForm, name: string | undefined) => Promise<string>;

export const showOfflineAgents: OfflineShow = async (client, form, id) =>
  id === undefined
    ? format(form, await client.list('/armory/agents', agentShape, { state: 'offline' }), agentColumns)
    : format(form, await client.one(pathOf('/armory/agents', id), agentShape, { state: 'offline' }), agentColumns);

/** The most that one request answers with. */
const pageSize = 1_000;

export const showOfflineAccounts: OfflineShow = async (client, form, name) => {
  const all: OfflineAccount[] = [];
  for (;;) {
    const query = { state: 'offline', items: String(pageSize), after: all.at(-1)?.name };
    const page = await client.list('/armory/accounts', accountShape, query);
    all.push(...page);
    if (page.length < pageSize) break;
  }
  return format(form, name === undefined ? all : all.filter((account) => account.name === name), accountColumns);
};

export const showLostInstances: OfflineShow = async (client, form, id) => {
  const all = await client.list('/armory/clouddrivers', instanceShape, { state: 'lost' });
  return format(form, id === undefined ? all : all.filter((instance) => instance.id === id), instanceColumns);
};

export const forgetCommands: readonly Command[] = [
  forget('agent', 'Forget an agent that is offline, with its accounts.', '/armory/agents'),
  forget('instance', 'Forget a replica that was lost.', '/armory/clouddrivers'),
];

function forget(what: 'agent' | 'instance', summary: string, path: string): Command {
  return command({
    name: `forget ${what}`,
    summary,
    arguments: [{ name: 'ID' }],
    flags: gatewayFlags,
    run: async ({ words: [id = ''], flags }, io) => {
      const { client } = openSession(flags, io);
      await client.delete(pathOf(path, id));
      io.stderr.write(`${what} ${id} is forgotten; if it comes back, it is listed again\n`);
      return exitCodes.done;
    },
  });
}
