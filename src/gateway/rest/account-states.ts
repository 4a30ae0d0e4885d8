/** Accounts as `/armory/accounts` answers with them, and with their states where a caller asks for these. */

import type { Static } from 'typebox';
import type { AccountRecord } from '../../store/accounts/account-record.js';
import type { AccountStore } from '../../store/accounts/accounts.js';
import type { Definitions } from '../accounts/definition.js';
import { accountStates, type AccountState } from '../attention/account-states.js';
import { timeText } from '../attention/attention.js';
import type { ClusterReader } from '../attention/cluster-reader.js';
import type { accountAnswer } from './account-schemas.js';

type AccountAnswer = Static<typeof accountAnswer>;

interface AccountSources {
  readonly reader: Pick<ClusterReader, 'agents' | 'offline'>;
  readonly accounts: Pick<AccountStore, 'findAll'>;
  readonly definitions: Pick<Definitions, 'masked'>;
}

/**
 * `items` accounts in this state after the name `after`, dynamic or not, also those that only agents know that are gone.
 * @throws GatewayError `dependency-unavailable`
 */
export async function listAccountStates(
  { reader, accounts, definitions }: AccountSources,
  wanted: AccountState['state'] | 'all',
  after: string,
  items: number,
  signal: AbortSignal,
): Promise<AccountAnswer[]> {
  await Promise.all([reader.agents.refresh(), reader.offline.refresh()]);
  const page = accountStates(reader.agents.current().agents, reader.offline.current().accounts)
    .filter(({ name, state }) => name > after && (wanted === 'all' || state === wanted))
    .slice(0, items);
  const records = await accounts.findAll(
    page.map(({ name }) => name),
    signal,
  );
  return page.map((account) => stateAnswer(account, records.get(account.name), definitions));
}

function stateAnswer(
  { name, state, offline }: AccountState,
  record: AccountRecord | undefined,
  definitions: Pick<Definitions, 'masked'>,
): AccountAnswer {
  const known: AccountAnswer =
    record === undefined
      ? {
          name,
          type: 'kubernetes',
          source: 'agent',
          // The clean-up of accounts without agents has removed its row.
          status: 'ORPHANED',
          zoneId: offline?.zoneId ?? '',
          connections: 0,
          failedCount: 0,
          lastUpdated: timeText(offline?.goneTime ?? 0),
          config: {},
        }
      : toAccountAnswer(record, definitions);
  if (offline === undefined) return { ...known, state };
  const { goneTime, agentId, instanceId, reason, message } = offline;
  return {
    ...known,
    state,
    offlineSince: timeText(goneTime),
    lastAgentId: agentId,
    lastClouddriverId: instanceId,
    offlineReason: reason,
    ...(message === undefined ? {} : { offlineMessage: message }),
  };
}

export function toAccountAnswer(record: AccountRecord, definitions: Pick<Definitions, 'masked'>): AccountAnswer {
  const { name, status, zoneId, dynamic, connections, failedCount, errorMessage, lastUpdated, definition } = record;
  return {
    name,
    type: 'kubernetes',
    source: dynamic ? 'dynamic' : 'agent',
    status,
    zoneId,
    connections,
    failedCount,
    ...(errorMessage === undefined ? {} : { errorMessage }),
    lastUpdated: new Date(lastUpdated).toISOString(),
    config: definitions.masked(definition),
  };
}
