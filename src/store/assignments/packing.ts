/** Which requests share a transaction. */

import { batches } from '../../core/batches.js';
import type { ClaimRequest } from './claim.js';

/** Accounts that one transaction claims or releases: few statements for many, and still a lock of milliseconds. */
export const transactionAccounts = 1_000;

/** A request, or a part of one that is too large for one transaction. */
export interface Part<Request> {
  /** Index of the request in the list. */
  readonly index: number;
  readonly request: Request;
}

/** Each account once and sorted, so that the parts of a request return its accounts in name order. */
export function inNameOrder({ connection, accounts }: ClaimRequest): ClaimRequest {
  const byName = new Map(accounts.map((account) => [account.name, account]));
  return { connection, accounts: [...byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}

/** Packs requests into transactions of 1,000 accounts, in their order; a request without accounts is in none. */
export function* packed<Request extends { readonly accounts: readonly unknown[] }>(
  requests: readonly Request[],
): Generator<readonly Part<Request>[]> {
  let parts: Part<Request>[] = [];
  let count = 0;
  for (const [index, request] of requests.entries()) {
    for (const accounts of batches(request.accounts, transactionAccounts)) {
      if (count + accounts.length > transactionAccounts) {
        yield parts;
        parts = [];
        count = 0;
      }
      parts.push({ index, request: { ...request, accounts } });
      count += accounts.length;
    }
  }
  if (parts.length > 0) yield parts;
}
