/** `agents`, `accounts`, `instances`: what the cluster consists of, and what of it is gone; `revoke-tokens`. */

import { command, type Command, type CommandIo } from '../command-line/command.js';
import { firstNames } from '../core/first-names.js';
import { ClientError, exitCodes } from './exit-code.js';
import { gatewayFlags, type GatewayFlags } from './flags.js';
import {
  forgetCommands,
  offlineFlag,
  showLostInstances,
  showOfflineAccounts,
  showOfflineAgents,
  type OfflineShow,
} from './gone-commands.js';
import { format, type Column, type OutputForm } from './output.js';
import { pathOf, type RestClient, type Shape } from './rest-client.js';
import { openSession } from './session.js';
import { statusCommand } from './status-command.js';

interface Agent {
  readonly accounts: readonly string[];
  readonly agentId: string;
  readonly caching: boolean;
  readonly clouddriverId: string;
  readonly lastConnection: string;
}

interface Instance {
  readonly baseUrl: string;
  readonly id: string;
  readonly lastUpdated: string;
  readonly ready: boolean;
}

interface Account {
  readonly name: string;
  readonly agents: readonly { readonly agentId: string; readonly clouddriverId: string }[];
}

const agentShape: Shape<Agent> = {
  agentId: 'string',
  accounts: 'object',
  clouddriverId: 'string',
  lastConnection: 'string',
};
const instanceShape: Shape<Instance> = { id: 'string', baseUrl: 'string', lastUpdated: 'string' };

/** Names of accounts in one cell of a table. */
const shownAccounts = 3;

const agentColumns: readonly Column<Agent>[] = [
  ['AGENT', ({ agentId }) => agentId],
  ['INSTANCE', ({ clouddriverId }) => clouddriverId],
  ['CACHING', ({ caching }) => yesOrNo(caching)],
  ['CONNECTED SINCE', ({ lastConnection }) => lastConnection],
  ['ACCOUNTS', ({ accounts }) => few(accounts)],
];

const instanceColumns: readonly Column<Instance>[] = [
  ['INSTANCE', ({ id }) => id],
  ['READY', ({ ready }) => yesOrNo(ready)],
  ['LAST UPDATED', ({ lastUpdated }) => lastUpdated],
  ['BASE URL', ({ baseUrl }) => baseUrl],
];

const accountColumns: readonly Column<Account>[] = [
  ['ACCOUNT', ({ name }) => name],
  ['AGENTS', ({ agents }) => String(agents.length)],
  ['SERVED BY', ({ agents }) => few(agents.map(({ agentId, clouddriverId }) => `${agentId} (${clouddriverId})`))],
];

type Show = (client: RestClient, form: OutputForm, name: string | undefined) => Promise<string>;

const flags = { ...gatewayFlags, offline: offlineFlag };

const show =
  (here: Show, gone: OfflineShow) =>
  async (
    { words, flags }: { words: readonly string[]; flags: GatewayFlags & { readonly offline?: boolean | undefined } },
    io: CommandIo,
  ) => {
    const { client, form } = openSession(flags, io);
    io.stdout.write(await (flags.offline === true ? gone : here)(client, form, words[0]));
    return exitCodes.done;
  };

export const clusterCommands: readonly Command[] = [
  statusCommand,
  command({
    name: 'agents',
    summary: 'List connected agents, or show one; --offline: those that are gone.',
    arguments: [{ name: 'ID', optional: true, completes: 'agents' }],
    flags,
    run: show(listOrOne<Agent>('/armory/agents', agentShape, agentColumns), showOfflineAgents),
  }),
  command({
    name: 'accounts',
    summary: 'List accounts with the agents that serve them, or show one; --offline: those that are gone.',
    arguments: [{ name: 'NAME', optional: true, completes: 'accounts' }],
    flags,
    run: show(accounts, showOfflineAccounts),
  }),
  command({
    name: 'instances',
    summary: 'List the replicas of the cluster, or show one; --offline: those that were lost.',
    arguments: [{ name: 'ID', optional: true, completes: 'instances' }],
    flags,
    run: show(listOrOne<Instance>('/armory/clouddrivers', instanceShape, instanceColumns), showLostInstances),
  }),
  ...forgetCommands,
  command({
    name: 'revoke-tokens',
    summary: `Revoke every token that the gateway has made for an account (docs/security.md).

Clouddriver and everybody else who has one is refused within seconds. Clouddriver gets a new one by itself.`,
    arguments: [{ name: 'ACCOUNT', completes: 'accounts' }],
    flags: gatewayFlags,
    run: async ({ words: [account = ''], flags }, io) => {
      const { client, form } = openSession(flags, io);
      const { body } = await client.delete(`${pathOf('/armory/accounts', account)}/tokens`);
      io.stdout.write(form === 'table' ? `the tokens of account ${account} are revoked\n` : format(form, body, []));
      return exitCodes.done;
    },
  }),
];

function listOrOne<Row>(path: string, shape: Shape<Row>, columns: readonly Column<Row>[]): Show {
  return async (client, form, id) =>
    id === undefined
      ? format(form, await client.list<Row>(path, shape), columns)
      : format(form, await client.one<Row>(pathOf(path, id), shape), columns);
}

/** Accounts with a connected agent, by name. */
async function accounts(client: RestClient, form: OutputForm, name: string | undefined): Promise<string> {
  const byName = new Map<string, { agentId: string; clouddriverId: string }[]>();
  for (const { accounts: names, agentId, clouddriverId } of await client.list<Agent>('/armory/agents', agentShape)) {
    for (const account of names) {
      const serving = byName.get(account) ?? [];
      serving.push({ agentId, clouddriverId });
      byName.set(account, serving);
    }
  }
  const all = [...byName].map(([account, serving]) => ({ name: account, agents: serving }));
  all.sort((one, other) => (one.name < other.name ? -1 : 1));
  if (name === undefined) return format(form, all, accountColumns);
  const account = all.find((one) => one.name === name);
  if (account === undefined)
    throw new ClientError(exitCodes.notFound, `account "${name}": no agent that serves it is connected`);
  return format(form, account, accountColumns);
}

function yesOrNo(value: boolean): string {
  return value ? 'yes' : 'no';
}

function few(names: readonly string[]): string {
  return firstNames(names, shownAccounts);
}
