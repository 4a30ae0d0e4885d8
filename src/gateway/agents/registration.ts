/** What an agent says of itself when it registers, and what is refused of it. */

import { GatewayError } from '../../core/errors.js';
import type { AccountRegistration, Connection, Ownership } from '../../store/ownership.js';

/** What a Registration says, free of wire types. */
export interface RegistrationRequest {
  readonly agentId: string;
  readonly zoneId: string;
  readonly version: string;
  readonly accounts: readonly AccountRegistration[];
  readonly dynamicAccounts: boolean;
}

/** Ids end up in SQL keys, logs, paths and metrics: printable, no spaces, and short enough for an index. */
const validName = /^[\w.:@/+=-]{1,253}$/u;

/** @throws GatewayError `invalid-argument` naming the field; `overloaded` for too many accounts */
export function validateRegistration(request: RegistrationRequest, maxAccounts: number): void {
  if (!validName.test(request.agentId)) {
    throw new GatewayError(
      'invalid-argument',
      'register.agent_id: expected the pod name, 1 to 253 printable characters without spaces',
      { field: 'register.agent_id' },
    );
  }
  if (request.zoneId !== '' && !validName.test(request.zoneId)) {
    throw new GatewayError(
      'invalid-argument',
      'register.zone_id: expected 1 to 253 printable characters without spaces',
      { field: 'register.zone_id' },
    );
  }
  if (request.accounts.length === 0 && !request.dynamicAccounts) {
    throw new GatewayError(
      'invalid-argument',
      'register.accounts: expected at least one account, or dynamic_accounts: true',
      { field: 'register.accounts' },
    );
  }
  validateAccounts(request.accounts, 0, maxAccounts);
}

/** @param held accounts that the stream serves already. @throws as validateRegistration() */
export function validateAccounts(accounts: readonly AccountRegistration[], held: number, maxAccounts: number): void {
  if (held + accounts.length > maxAccounts) {
    throw new GatewayError(
      'overloaded',
      `register.accounts: ${String(held + accounts.length)} accounts; an agent may serve ${String(maxAccounts)} (kubesvc.grpc.server.maxAccountsPerAgent)`,
      { field: 'register.accounts' },
    );
  }
  const names = new Set<string>();
  accounts.forEach(({ name }, index) => {
    const field = `register.accounts[${String(index)}].name`;
    if (!validName.test(name)) {
      throw new GatewayError('invalid-argument', `${field}: expected 1 to 253 printable characters without spaces`, {
        field,
      });
    }
    if (names.has(name))
      throw new GatewayError('invalid-argument', `${field}: account "${name}" is named twice`, { field });
    names.add(name);
  });
}

/** Whether the connection is an owner of the account: of two of one agent, the newer one is. */
export function holds(ownership: Ownership, connection: Connection): boolean {
  return ownership.assignments.some(
    ({ agentId, epoch, instanceId }) =>
      agentId === connection.agentId && epoch === connection.epoch && instanceId === connection.instanceId,
  );
}
