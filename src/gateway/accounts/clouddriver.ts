/**
 * Kubernetes accounts of a Clouddriver: through its account management (`/credentials/type/kubernetes`, in pages) if
 * that is enabled, otherwise from the list of all credentials (`/credentials`), which has little more than names.
 */

import { request } from 'undici';
import { isUnexpected, reasonFor } from '../../core/connection-failure.js';
import { GatewayError, TellableError } from '../../core/errors.js';

export interface ClouddriverAccount {
  readonly name: string;
  /** As Clouddriver returns it, including Clouddriver's own options. */
  readonly definition: Readonly<Record<string, unknown>>;
}

const timeoutMs = 30_000;
const field = 'kubesvc.dynamicAccounts.clouddriverUrl';

export class Clouddriver {
  readonly #baseUrl: string;

  /** @param baseUrl may have credentials, which no message repeats */
  constructor(baseUrl: string) {
    this.#baseUrl = baseUrl.replace(/\/+$/u, '');
  }

  /** @returns undefined if Clouddriver has no such account. @throws GatewayError `dependency-unavailable` */
  async find(name: string, signal: AbortSignal): Promise<ClouddriverAccount | undefined> {
    const account = await this.#get(`/credentials/${encodeURIComponent(name)}`, signal);
    return account === undefined ? undefined : toAccount(account);
  }

  /** All Kubernetes accounts, `batchSize` at a time. @throws as find() */
  async *pages(batchSize: number, signal: AbortSignal): AsyncGenerator<readonly ClouddriverAccount[]> {
    for (let after = ''; ;) {
      // A page begins with the requested start account itself.
      const limit = after === '' ? batchSize : batchSize + 1;
      const query = new URLSearchParams({ limit: String(limit) });
      if (after !== '') query.set('startingAccountName', after);
      const page = await this.#get(`/credentials/type/kubernetes?${query.toString()}`, signal);
      if (page === undefined && after === '') break;
      const accounts = listOf(page).filter(({ name }) => after === '' || name > after);
      if (accounts.length > 0) yield accounts;
      const last = accounts.at(-1);
      if (last === undefined || listOf(page).length < limit) return;
      after = last.name;
    }
    const all = listOf(await this.#get('/credentials', signal)).filter(isKubernetes);
    for (let start = 0; start < all.length; start += batchSize) yield all.slice(start, start + batchSize);
  }

  async #get(path: string, signal: AbortSignal): Promise<unknown> {
    try {
      const url = new URL(this.#baseUrl + path);
      const { username, password } = url;
      url.username = '';
      url.password = '';
      const basic = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64');
      const { statusCode, body } = await request(url, {
        signal,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        headers: { accept: 'application/json', ...(username === '' ? {} : { authorization: `Basic ${basic}` }) },
      });
      const text = await body.text();
      if (statusCode === 404) return undefined;
      if (statusCode !== 200) throw new TellableError(`it answered ${String(statusCode)}`);
      return parse(text);
    } catch (error) {
      signal.throwIfAborted();
      if (isUnexpected(error)) throw error;
      throw new GatewayError('dependency-unavailable', `${field}: ${reasonFor(error)}`, { field, cause: error });
    }
  }
}

function parse(answer: string): unknown {
  try {
    return JSON.parse(answer) as unknown;
  } catch (error) {
    throw new TellableError('its answer is not JSON', { cause: error });
  }
}

function listOf(answer: unknown): ClouddriverAccount[] {
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
