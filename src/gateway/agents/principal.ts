/** Who an agent has proven to be, and what that entitles it to. */

import { GatewayError } from '../../core/errors.js';
import { firstNames } from '../../core/first-names.js';
import type { AccountRegistration } from '../../store/accounts/account-record.js';
import type { RegistrationRequest } from './registration-request.js';

/** An agent with a proven identity, and what that may have. */
export interface SessionPeer {
  /** Whose its accounts are. */
  readonly owner: string;
  /** When its proof is no longer valid, Unix ms: it is asked to dial again before. */
  readonly expiresAt: number | undefined;
  /** Whether a policy says what it may have. */
  readonly policed: boolean;
  mayHaveZone(zoneId: string): boolean;
  mayHaveAccount(name: string): boolean;
  /** @throws GatewayError when its proof does not hold any more, or the policy means somebody else by now */
  judgeAgain(): void;
}

/** @throws GatewayError `permission-denied` naming the zone or the accounts that the identity may not have */
export function authorize(peer: SessionPeer, zoneId: string, accounts: readonly AccountRegistration[]): void {
  if (!peer.mayHaveZone(zoneId)) {
    throw new GatewayError('permission-denied', `register.zone_id: the policy does not give it to ${peer.owner}`, {
      field: 'register.zone_id',
    });
  }
  const refused = accounts.map(({ name }) => name).filter((name) => !peer.mayHaveAccount(name));
  if (refused.length === 0) return;
  const shown = firstNames(refused, 5);
  throw new GatewayError('permission-denied', `register.accounts: the policy does not give ${shown} to ${peer.owner}`, {
    field: 'register.accounts',
    accounts: refused,
  });
}

/** Gives a zone that is nobody's to the owner; false: it is somebody else's. */
export type BindZone = (zoneId: string, owner: string, signal: AbortSignal) => Promise<boolean>;

/**
 * Kubeconfigs of dynamic accounts go to the agents of a zone: where no policy says whose it is, it is the first one's.
 * @throws GatewayError `permission-denied` when it is another one's
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
    `register.zone_id: ${zoneId} takes dynamic accounts for another identity than ${peer.owner}; an operator can release it`,
    { field: 'register.zone_id' },
  );
}

/** One identity's agents are told from another one's, whatever ids they choose. */
export function agentKey(owner: string | undefined, agentId: string): string {
  return owner === undefined ? agentId : `${owner}\n${agentId}`;
}
