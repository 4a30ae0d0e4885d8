/** What an agent says of itself when it registers, and what is refused of it. */

import { GatewayError } from '../../core/errors.js';
import type { AccountRegistration, Connection, Ownership } from '../../store/assignments/ownership.js';
import { validateDescription, validateText } from './account-description.js';
import type { SessionFrames } from './session-frames.js';
import type { Session, SessionPeer } from './session.js';

/** What a Registration says, free of wire types. */
export interface RegistrationRequest {
  readonly agentId: string;
  readonly zoneId: string;
  readonly version: string;
  /** Absent: it did not say. */
  readonly processId?: string;
  readonly accounts: readonly AccountRegistration[];
  readonly dynamicAccounts: boolean;
}

/** Ids end up in SQL keys, logs, paths and metrics: printable, no spaces, and short enough for an index. */
const validName = /^[\w.:@/+=-]{1,253}$/u;

const longestVersion = 255;

/** Long enough to be random: the number that an operating system gives a process is 1 in every container. */
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
 * @param held accounts that the stream serves already
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
      `${field}: ${String(held + accounts.length)} accounts; an agent may serve ${String(maxAccounts)} (kubesvc.grpc.server.maxAccountsPerAgent)`,
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

/** @throws GatewayError `permission-denied` naming the zone or the accounts that the identity may not have */
export function authorize(peer: SessionPeer, zoneId: string, accounts: readonly AccountRegistration[]): void {
  if (!peer.mayHaveZone(zoneId)) {
    throw new GatewayError('permission-denied', `register.zone_id: the policy does not give it to ${peer.owner}`, {
      field: 'register.zone_id',
    });
  }
  const refused = accounts.map(({ name }) => name).filter((name) => !peer.mayHaveAccount(name));
  if (refused.length === 0) return;
  const shown = `${refused.slice(0, 5).join(', ')}${refused.length > 5 ? ' ...' : ''}`;
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

/** Whether the connection is an owner of the account: of two of one agent, the newer one is. */
export function holds(ownership: Ownership, connection: Connection): boolean {
  return ownership.assignments.some(
    ({ agentId, epoch, instanceId }) =>
      agentId === connection.agentId && epoch === connection.epoch && instanceId === connection.instanceId,
  );
}

export function replaced(agentId: string): GatewayError {
  return new GatewayError('replaced', `a newer connection of agent ${agentId} has registered`, { agentId });
}

/** Ends dynamic accounts that the agent still has, and that were deleted, deactivated or moved elsewhere meanwhile. */
export function dismiss(
  session: Session,
  accounts: readonly AccountRegistration[],
  held: ReadonlySet<string>,
  frames: SessionFrames,
): void {
  const gone = accounts.filter(({ name, dynamicVersion }) => dynamicVersion !== undefined && !held.has(name));
  if (gone.length > 0) session.send(frames.deleteAccounts(gone.map(({ name }) => name)));
}
