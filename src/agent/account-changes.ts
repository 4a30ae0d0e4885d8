/** Tells the gateway on a registered stream that the agent's accounts have changed. */

import { create } from '@bufbuild/protobuf';
import { AccountsAddedSchema, AccountsRemovedSchema, type Account } from '../protocol/generated/ops/operations_pb.js';
import { encodeAgentMessage, type GatewayStream } from './gateway-stream.js';

/** Sends what there is of both. */
export function tellAccounts(stream: GatewayStream, removed: readonly string[], added: readonly Account[]): void {
  if (removed.length > 0) {
    const value = create(AccountsRemovedSchema, { names: [...removed] });
    stream.send(encodeAgentMessage({ case: 'accountsRemoved', value }));
  }
  if (added.length > 0) {
    const value = create(AccountsAddedSchema, { accounts: [...added] });
    stream.send(encodeAgentMessage({ case: 'accountsAdded', value }));
  }
}

/** Sends the changes since the stream was dialled. @param accounts all of them now */
export function tellChanges(stream: GatewayStream, accounts: readonly Account[]): void {
  const [told, now] = [new Set(stream.registration.accounts), new Set(accounts)];
  const names = new Set(accounts.map(({ name }) => name));
  // A newer definition of a dynamic account replaces the older one by itself.
  const isGone = (account: Account): boolean =>
    !now.has(account) && (account.dynamicVersion === 0n || !names.has(account.name));
  const removed = [...told].filter(isGone).map(({ name }) => name);
  const added = [...now].filter((account) => !told.has(account));
  tellAccounts(stream, removed, added);
}
