/**
 * Kubernetes accounts of a Clouddriver: through its account management (`/credentials/type/kubernetes`, in pages) if
 * that is enabled, otherwise from the list of all credentials (`/credentials`), which has little more than names.
 */

import { ClouddriverRequests, type ClouddriverAddress } from './clouddriver-requests.js';

export interface ClouddriverAccount {
  readonly name: string;
  /** As Clouddriver returns it, including Clouddriver's own options. */
  readonly definition: Readonly<Record<string, unknown>>;
}

export class Clouddriver {
  readonly #address: ClouddriverAddress;

  constructor(address: ClouddriverAddress) {
    this.#address = address;
  }

  /** @returns undefined if Clouddriver has no such account. @throws GatewayError `dependency-unavailable` */
  async find(name: string, signal: AbortSignal): Promise<ClouddriverAccount | undefined> {
    const requests = await ClouddriverRequests.open(this.#address);
    try {
      return toAccount(await requests.get(`/credentials/${encodeURIComponent(name)}`, signal));
    } finally {
      void requests.close();
    }
  }

  /** All Kubernetes accounts, `batchSize` at a time. @throws as find() */
  async *pages(batchSize: number, signal: AbortSignal): AsyncGenerator<readonly ClouddriverAccount[]> {
    const requests = await ClouddriverRequests.open(this.#address);
    try {
      const stored = storedPages(requests, batchSize, signal);
      let page = await stored.next();
      for (; page.done !== true; page = await stored.next()) yield page.value;
      if (page.value) return;
      const all = listOf(await requests.get('/credentials', signal)).filter(isKubernetes);
      for (let start = 0; start < all.length; start += batchSize) yield all.slice(start, start + batchSize);
    } finally {
      void requests.close();
    }
  }
}

/**
 * The account store, in Clouddriver's order of names. Clouddriver leaves out of a page what the caller may not see and what
 * it cannot read, so a page with few accounts is not the last one; the end is a page without any new account.
 * @returns whether there is an account store
 * @throws GatewayError `dependency-unavailable`
 */
export async function* storedPages(
  requests: Pick<ClouddriverRequests, 'get'>,
  batchSize: number,
  signal: AbortSignal,
): AsyncGenerator<readonly ClouddriverAccount[], boolean> {
  const seen = new Set<string>();
  for (let last: string | undefined; ;) {
    // A page begins with the requested start account itself.
    const query = new URLSearchParams({ limit: String(last === undefined ? batchSize : batchSize + 1) });
    if (last !== undefined) query.set('startingAccountName', last);
    const page = await requests.get(`/credentials/type/kubernetes?${query.toString()}`, signal);
    if (page === undefined && last === undefined) return false;
    // Not compared with the last name: the order is that of Clouddriver's database.
    const fresh = listOf(page).filter(({ name }) => !seen.has(name));
    if (fresh.length === 0) return true;
    yield fresh;
    for (const { name } of fresh) seen.add(name);
    last = fresh.at(-1)?.name;
  }
}

/** The accounts of an answer of Clouddriver. */
export function listOf(answer: unknown): ClouddriverAccount[] {
  return Array.isArray(answer) ? answer.flatMap((each) => toAccount(each) ?? []) : [];
}

function toAccount(answer: unknown): ClouddriverAccount | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined;
  const definition = answer as Readonly<Record<string, unknown>>;
  const { name } = definition;
  return typeof name === 'string' && name !== '' ? { name, definition } : undefined;
}

function isKubernetes({ definition }: ClouddriverAccount): boolean {
  return [definition['type'], definition['cloudProvider']].includes('kubernetes');
}
