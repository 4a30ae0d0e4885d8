/** Claims again the assignments of this instance's streams that others released while it was unreachable. */

import { batches } from '../../core/batches.js';
import { holds, type Claims } from './claims.js';
import type { OwnershipService } from './ownership.js';
import type { Registry } from './registry.js';
import type { Session } from './session.js';

export interface ReclaimOptions {
  readonly instanceId: string;
  readonly ownership: Pick<OwnershipService, 'ofInstance'>;
  readonly claims: Pick<Claims, 'claim'>;
  readonly registry: Pick<Registry, 'connectionOf'>;
}

/** Streams whose claims are made together. */
const sessionsAtATime = 2_000;

/**
 * Assignments that are still in SQL are only read, so repeating this from the beginning is cheap.
 * @param sessions that are active
 * @returns sessions whose agents have registered elsewhere meanwhile
 * @throws what OwnershipService.ofInstance() and Claims.claim() throw; then repeat it
 */
export async function reclaimMissing(
  { instanceId, ownership, claims, registry }: ReclaimOptions,
  sessions: readonly Session[],
  signal: AbortSignal,
): Promise<readonly Session[]> {
  const owned = new Set<string>();
  const key = (account: string, epoch: number): string => `${account}\n${String(epoch)}`;
  for await (const page of ownership.ofInstance(instanceId, signal)) {
    for (const { account, assignments } of page) for (const { epoch } of assignments) owned.add(key(account, epoch));
  }
  const lost: Session[] = [];
  const reclaim = async (session: Session): Promise<void> => {
    const { epoch } = session.agent;
    const missing = [...session.accounts.values()].filter(({ name }) => !owned.has(key(name, epoch)));
    if (missing.length === 0 || session.state !== 'active') return;
    const connection = registry.connectionOf(session);
    const claimed = await claims.claim(connection, missing, signal);
    if (claimed.some((account) => !holds(account, connection))) lost.push(session);
  };
  for (const some of batches(sessions, sessionsAtATime)) await Promise.all(some.map(reclaim));
  return lost;
}
