/**
 * The format of data in Redis and of its messages. A hash value is
 * `[version,[[agentId,instanceId,epoch,caching,processId?],...]]`, a message
 * `{"generation","sequence","changes":[[account,<hash value>],...],"removed":[[account,version],...]}`. The write
 * script of redis-store.ts composes messages of hash values as they are, without reading them.
 */

import type { Assignment, Ownership } from '../assignments/ownership.js';

/** An account that SQL no longer has; older entries for it are void. */
export interface Removal {
  readonly account: string;
  /** Entries up to this version are void. */
  readonly version: number;
  readonly removed: true;
}

export type Change = Ownership | Removal;

export interface ChangeMessage {
  readonly generation: string;
  readonly sequence: number;
  readonly changes: readonly Change[];
}

export function isRemoval(change: Change): change is Removal {
  return 'removed' in change;
}

export function encodeValue({ version, assignments }: Ownership): string {
  return JSON.stringify([
    version,
    assignments.map(({ agentId, instanceId, epoch, caching, processId }) => {
      const row = [agentId, instanceId, epoch, caching ? 1 : 0];
      return processId === undefined ? row : [...row, processId];
    }),
  ]);
}

/** @returns undefined if it is not a value of encodeValue() */
export function decodeValue(account: string, value: string): Ownership | undefined {
  return toOwnership(account, parse(value));
}

/** @returns undefined if it is not a message; invalid entries are left out */
export function decodeMessage(text: string): ChangeMessage | undefined {
  const message = parse(text);
  if (typeof message !== 'object' || message === null) return undefined;
  const { generation, sequence, changes, removed } = message as Record<keyof ChangeMessage | 'removed', unknown>;
  if (typeof generation !== 'string' || !isCount(sequence)) return undefined;
  const decoded: Change[] = [];
  for (const pair of Array.isArray(removed) ? (removed as unknown[]) : []) {
    if (!Array.isArray(pair)) continue;
    const [account, version] = pair as unknown[];
    if (typeof account === 'string' && isCount(version)) decoded.push({ account, version, removed: true });
  }
  for (const pair of Array.isArray(changes) ? (changes as unknown[]) : []) {
    if (!Array.isArray(pair)) continue;
    const [account, value] = pair as unknown[];
    const ownership = typeof account === 'string' ? toOwnership(account, value) : undefined;
    if (ownership !== undefined) decoded.push(ownership);
  }
  return { generation, sequence, changes: decoded };
}

function toOwnership(account: string, value: unknown): Ownership | undefined {
  if (!Array.isArray(value)) return undefined;
  const [version, rows] = value as unknown[];
  if (!isCount(version) || !Array.isArray(rows)) return undefined;
  const assignments: Assignment[] = [];
  for (const row of rows as unknown[]) {
    if (!Array.isArray(row)) return undefined;
    const [agentId, instanceId, epoch, caching, processId] = row as unknown[];
    if (typeof agentId !== 'string' || typeof instanceId !== 'string' || !isCount(epoch)) return undefined;
    const ofProcess = typeof processId === 'string' ? { processId } : {};
    assignments.push({ agentId, instanceId, epoch, ...ofProcess, caching: caching === 1 });
  }
  return { account, version, assignments };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
