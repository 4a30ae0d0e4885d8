/** Who an agent has proven to be, and what that entitles it to. */

import { GatewayError } from '../../core/errors.js';
import { firstNames } from '../../core/first-names.js';
import type { AccountRegistration } from '../../store/accounts/account-record.js';
import type { RegistrationRequest } from './registration-request.js';

/** An agent with a proven identity, and what it is allowed. */
export interface SessionPeer {
  /** The owner of its accounts. */
  readonly owner: string;
  /** When its credential expires, Unix ms: it is asked to dial again before that. */
  readonly expiresAt: number | undefined;
  /** Whether a policy limits its zones and accounts. */
  readonly policed: boolean;
  mayHaveZone(zoneId: string): boolean;
  mayHaveAccount(name: string): boolean;
  /** @throws GatewayError if its credential is no longer valid, or the policy now maps it to another identity */
  judgeAgain(): void;
}

/** @throws GatewayError `permission-denied` naming the zone or the accounts that the identity may not have */
export function authorize(peer: SessionPeer, zoneId: string, accounts: readonly AccountRegistration[]): void {
  if (!peer.mayHaveZone(zoneId)) {
    throw new GatewayError('permission-denied', `register.zone_id: the policy does not allow it for ${peer.owner}`, {
      field: 'register.zone_id',
    });
  }
  const refused = accounts.map(({ name }) => name).filter((name) => !peer.mayHaveAccount(name));
  if (refused.length === 0) return;
  const shown = firstNames(refused, 5);
  throw new GatewayError(
    'permission-denied',
    `register.accounts: the policy does not allow ${shown} for ${peer.owner}`,
    {
      field: 'register.accounts',
      accounts: refused,
    },
  );
}

/** Binds a zone without an owner to this one; false: the zone belongs to another owner. */
export type BindZone = (zoneId: string, owner: string, signal: AbortSignal) => Promise<boolean>;

/**
 * Kubeconfigs of dynamic accounts go to the agents of a zone: if no policy gives the zone to an identity, it belongs to
 * the first one that registers in it.
 * @throws GatewayError `permission-denied` when the zone belongs to another identity
 */
export async function claimZone(
  peer: SessionPeer,
  { zoneId, dynamicAccounts }: RegistrationRequest,
  bindZone: BindZone,
  signal: AbortSignal,
): Promise<void> {
  if (peer.policed || !dynamicAccounts || zoneId === '' || (await bindZone(zoneId, peer.owner, signal))) return;
  throw new GatewayError(
    'permission-denied',
    `register.zone_id: zone ${zoneId} belongs to an identity other than ${peer.owner}; an operator can release it`,
    { field: 'register.zone_id' },
  );
}

/** Keeps agents of different identities apart even if they choose the same id. */
export function agentKey(owner: string | undefined, agentId: string): string {
  return owner === undefined ? agentId : `${owner}\n${agentId}`;
}
