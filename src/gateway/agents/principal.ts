/** The principal of an agent: who it is to the policy, and what it may have. */

import { GatewayError } from '../../core/errors.js';
import { firstNames } from '../../core/first-names.js';
import type { AccountRegistration } from '../../store/accounts/account-record.js';
import type { RegistrationRequest } from './registration-request.js';

/** An agent's proven identity as the policy sees it. */
export interface AgentPrincipal {
  /** `policy:RULE`, or without a policy the identity's name: what its accounts and zones are bound to. */
  readonly name: string;
  /** When its credential expires, Unix ms: it is asked to dial again before that. */
  readonly expiresAt: number | undefined;
  /** Whether a policy limits its zones and accounts. */
  readonly policed: boolean;
  mayHaveZone(zoneId: string): boolean;
  mayHaveAccount(name: string): boolean;
  /** @throws GatewayError if its credential is no longer valid, or the policy now maps it to another principal */
  reauthorize(): void;
}

/** @throws GatewayError `permission-denied` naming the zone or the accounts that the principal may not have */
export function authorize(principal: AgentPrincipal, zoneId: string, accounts: readonly AccountRegistration[]): void {
  if (!principal.mayHaveZone(zoneId)) {
    throw new GatewayError(
      'permission-denied',
      `register.zone_id: the policy does not allow it for ${principal.name}`,
      {
        field: 'register.zone_id',
      },
    );
  }
  const refused = accounts.map(({ name }) => name).filter((name) => !principal.mayHaveAccount(name));
  if (refused.length === 0) return;
  const shown = firstNames(refused, 5);
  throw new GatewayError(
    'permission-denied',
    `register.accounts: the policy does not allow ${shown} for ${principal.name}`,
    {
      field: 'register.accounts',
      accounts: refused,
    },
  );
}

/** Binds a zone that has no principal to this one; false: the zone is bound to another one. */
export type BindZone = (zoneId: string, principal: string, signal: AbortSignal) => Promise<boolean>;

/**
 * Kubeconfigs of dynamic accounts go to the agents of a zone: if no policy gives the zone to a principal, it belongs to
 * the first one that registers in it.
 * @throws GatewayError `permission-denied` when the zone belongs to another principal
 */
export async function claimZone(
  principal: AgentPrincipal,
  { zoneId, dynamicAccounts }: RegistrationRequest,
  bindZone: BindZone,
  signal: AbortSignal,
): Promise<void> {
  if (principal.policed || !dynamicAccounts || zoneId === '' || (await bindZone(zoneId, principal.name, signal)))
    return;
  throw new GatewayError(
    'permission-denied',
    `register.zone_id: zone ${zoneId} belongs to a principal other than ${principal.name}; an operator can release it`,
    { field: 'register.zone_id' },
  );
}

/** Keeps agents of different principals apart even if they choose the same id. */
export function agentKey(principal: string | undefined, agentId: string): string {
  return principal === undefined ? agentId : `${principal}\n${agentId}`;
}
