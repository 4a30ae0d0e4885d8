/**
 * The lifecycle of a dynamic account, without SQL: a table of states and events, and the effect of the end of a
 * replica's turn on an account. Transitions are only ever made under the lock of the account's row, so they live beside
 * it.
 *
 *   INACTIVE ─activate→ TO_MIGRATE ─take→ ACTIVATING ─served→ ACTIVE ─abandoned→ ORPHANED ─served→ ACTIVE
 *   ACTIVE ─deactivate→ TO_DEACTIVATE ─take→ DEACTIVATING ─cleared→ INACTIVE
 *   ACTIVATING ─refused→ FAILED ─take→ ACTIVATING; any ─delete→ DELETING ─cleared→ gone, ─kept→ DELETE_FAILED
 */

export const accountStatuses = [
  ...(['INACTIVE', 'TO_MIGRATE', 'ACTIVATING', 'ACTIVE', 'TO_DEACTIVATE', 'DEACTIVATING'] as const),
  ...(['DELETING', 'DELETE_FAILED', 'FAILED', 'ORPHANED'] as const),
] as const;
export type AccountStatus = (typeof accountStatuses)[number];

/** Requests through the API. */
export type AccountRequest = 'activate' | 'deactivate' | 'delete';

export type AccountEvent =
  | AccountRequest
  /** A replica's turn begins. */
  | 'take'
  /** An agent serves it. */
  | 'served'
  /** Every replica had its turn, and no agent could serve it. */
  | 'refused'
  /** The last agent that served it is gone. */
  | 'abandoned'
  /** No agent serves it any longer, as requested. */
  | 'cleared'
  /** An agent still serves it, although it was asked repeatedly to stop. */
  | 'kept';

/** After the last transition the row is deleted. */
export type NextStatus = AccountStatus | 'DELETED';

type Transitions = Readonly<Record<AccountStatus, Partial<Readonly<Record<AccountEvent, NextStatus>>>>>;

const requests = { activate: 'TO_MIGRATE', deactivate: 'TO_DEACTIVATE', delete: 'DELETING' } as const;

const transitions: Transitions = {
  INACTIVE: { ...requests, deactivate: 'INACTIVE' },
  TO_MIGRATE: { ...requests, take: 'ACTIVATING', served: 'ACTIVE' },
  ACTIVATING: { ...requests, activate: 'ACTIVATING', take: 'ACTIVATING', served: 'ACTIVE', refused: 'FAILED' },
  ACTIVE: { ...requests, activate: 'ACTIVE', take: 'ACTIVE', served: 'ACTIVE', abandoned: 'ORPHANED' },
  ORPHANED: { ...requests, take: 'ORPHANED', served: 'ACTIVE', refused: 'FAILED' },
  FAILED: { ...requests, take: 'ACTIVATING', served: 'ACTIVE' },
  TO_DEACTIVATE: { ...requests, take: 'DEACTIVATING' },
  DEACTIVATING: { ...requests, deactivate: 'DEACTIVATING', take: 'DEACTIVATING', cleared: 'INACTIVE', kept: 'FAILED' },
  DELETING: { delete: 'DELETING', take: 'DELETING', cleared: 'DELETED', kept: 'DELETE_FAILED' },
  DELETE_FAILED: requests,
};

/** @returns undefined if the event is not possible in the state */
export function nextStatus(status: AccountStatus, event: AccountEvent): NextStatus | undefined {
  return transitions[status][event];
}

/** Whether agents may serve an account in this state. */
export function isServable(status: AccountStatus): boolean {
  return nextStatus(status, 'served') !== undefined;
}

/** The aim of a replica's turn: agents should serve the account, or stop serving it. */
export function aimOf(status: AccountStatus): 'serve' | 'clear' | undefined {
  if (nextStatus(status, 'take') === undefined) return undefined;
  return isServable(status) ? 'serve' : 'clear';
}

export interface TurnOutcome {
  /** An agent of this replica serves the account with its present definition. */
  readonly served: boolean;
  /** Why agents of this replica refused. */
  readonly message?: string | undefined;
}

export interface TurnFacts {
  readonly status: AccountStatus;
  readonly failedCount: number;
  /** From the earlier turns of this round, on other replicas. */
  readonly errorMessage: string | undefined;
  /** Any agent of the cluster serves it. */
  readonly assigned: boolean;
  /** Another replica's turn is still to come. */
  readonly othersWait: boolean;
  readonly zoneId: string;
  readonly maxRetries: number;
}

export interface AfterTurn {
  readonly status: NextStatus;
  readonly failedCount: number;
  readonly errorMessage: string | undefined;
  /** The next turn: of the next replica at once, of all of them later, or none. */
  readonly next: 'now' | 'retry' | 'none';
}

/** The account after the end of a replica's turn. */
export function afterTurn(outcome: TurnOutcome, facts: TurnFacts): AfterTurn {
  const aim = aimOf(facts.status);
  if (aim === undefined) return { ...facts, next: 'none' };
  return aim === 'serve' ? afterServing(outcome, facts) : afterClearing(outcome, facts);
}

function afterServing({ served, message }: TurnOutcome, facts: TurnFacts): AfterTurn {
  const { failedCount, othersWait, maxRetries, zoneId } = facts;
  const status = served ? 'ACTIVE' : facts.status;
  const errorMessage = message ?? (served ? undefined : facts.errorMessage);
  const fresh = served && status !== facts.status ? 0 : failedCount;
  if (othersWait) return { status, failedCount: fresh, errorMessage, next: 'now' };
  if (status === 'ACTIVE') return { status, failedCount: fresh, errorMessage, next: 'none' };
  // Its agents are not connected; they will be asked when they are back.
  if (status === 'ORPHANED' && errorMessage === undefined) return { status, failedCount, errorMessage, next: 'none' };
  const failed = nextStatus(status, 'refused') ?? status;
  const reason = errorMessage ?? noAgent(zoneId);
  return {
    status: failed,
    failedCount: failedCount + 1,
    errorMessage: reason,
    next: failedCount < maxRetries ? 'retry' : 'none',
  };
}

function afterClearing({ message }: TurnOutcome, facts: TurnFacts): AfterTurn {
  const { status, failedCount, assigned, othersWait, maxRetries } = facts;
  if (!assigned) {
    const cleared = nextStatus(status, 'cleared') ?? status;
    return { status: cleared, failedCount: 0, errorMessage: undefined, next: 'none' };
  }
  const errorMessage = message ?? facts.errorMessage;
  if (othersWait) return { status, failedCount, errorMessage, next: 'now' };
  const reason = errorMessage ?? 'an unreachable agent still serves it';
  if (failedCount < maxRetries) return { status, failedCount: failedCount + 1, errorMessage: reason, next: 'retry' };
  const kept = nextStatus(status, 'kept') ?? status;
  return { status: kept, failedCount: failedCount + 1, errorMessage: reason, next: 'none' };
}

function noAgent(zoneId: string): string {
  return zoneId === ''
    ? 'no agent that takes dynamic accounts is connected'
    : `no agent of zone "${zoneId}" that takes dynamic accounts is connected`;
}
