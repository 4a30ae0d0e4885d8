/** What an agent says of itself when it registers, and which of it is malformed. */

import { GatewayError } from '../../core/errors.js';
import type { AccountRegistration } from '../../store/accounts/account-record.js';
import { validateDescription, validateText } from './account-description.js';

/** A Registration without wire types. */
export interface RegistrationRequest {
  readonly agentId: string;
  readonly zoneId: string;
  readonly version: string;
  /** Absent: the agent did not send it. */
  readonly processId?: string;
  readonly accounts: readonly AccountRegistration[];
  readonly dynamicAccounts: boolean;
  readonly kubernetesApi: boolean;
}

/** Ids end up in SQL keys, logs, paths and metrics: printable, no spaces, and short enough for an index. */
const validName = /^[\w.:@/+=-]{1,253}$/u;

const longestVersion = 255;

/** Long enough to be random: a process id of the operating system is 1 in every container. */
const validProcessId = /^[\w-]{16,64}$/u;

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
  validateText('register.version', request.version, longestVersion);
  if (request.processId !== undefined && !validProcessId.test(request.processId)) {
    throw new GatewayError(
      'invalid-argument',
      "register.process_id: expected 16 to 64 letters, digits, '-' or '_', chosen at random when the process started",
      { field: 'register.process_id' },
    );
  }
  if (request.accounts.length === 0 && !request.dynamicAccounts) {
    throw new GatewayError(
      'invalid-argument',
      'register.accounts: expected at least one account, or dynamic_accounts: true',
      { field: 'register.accounts' },
    );
  }
  validateAccounts('register.accounts', request.accounts, 0, maxAccounts);
}

/**
 * @param field of the message that names the accounts
 * @param held accounts that the stream already serves
 * @throws as validateRegistration()
 */
export function validateAccounts(
  field: string,
  accounts: readonly AccountRegistration[],
  held: number,
  maxAccounts: number,
): void {
  if (held + accounts.length > maxAccounts) {
    throw new GatewayError(
      'overloaded',
      `${field}: ${String(held + accounts.length)} accounts; an agent may serve at most ${String(maxAccounts)} (kubesvc.grpc.server.maxAccountsPerAgent)`,
      { field },
    );
  }
  const names = new Set<string>();
  accounts.forEach((account, index) => {
    const { name } = account;
    const own = `${field}[${String(index)}]`;
    const nameField = `${own}.name`;
    if (!validName.test(name)) {
      throw new GatewayError(
        'invalid-argument',
        `${nameField}: expected 1 to 253 printable characters without spaces`,
        {
          field: nameField,
        },
      );
    }
    if (names.has(name)) {
      throw new GatewayError('invalid-argument', `${nameField}: account "${name}" is named twice`, {
        field: nameField,
      });
    }
    names.add(name);
    validateDescription(account, own);
  });
}
