/**
 * Clouddriver's account store: `/credentials` of CredentialsController, with AccountDefinitionService and
 * SqlAccountDefinitionRepository behind it (spinnaker/clouddriver, 1.27 and later).
 */

import { GatewayError } from '../../core/errors.js';
import { listOf, storedPages } from '../accounts/clouddriver.js';
import {
  ClouddriverRequests,
  type ClouddriverAddress,
  type ClouddriverRequest,
} from '../accounts/clouddriver-requests.js';
import type { ClouddriverDefinition } from './account-definition.js';
import { refusalOf } from './refusal.js';

/** Undefined: done. Otherwise why Clouddriver refused it. */
export type StorageRefusal = { readonly status: number; readonly message: string } | undefined;

const pageSize = 500;
/** Of servers, and of proxies before them, that cannot answer at the moment. */
const away: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** For one comparison: the connections are closed at its end. */
export class ClouddriverStorage {
  readonly #requests: ClouddriverRequests;
  readonly #mayWrite: () => boolean;
  readonly #field: string;

  private constructor(requests: ClouddriverRequests, mayWrite: () => boolean, field: string) {
    this.#requests = requests;
    this.#mayWrite = mayWrite;
    this.#field = field;
  }

  /**
   * @param mayWrite asked before each write; false: it throws GatewayError `cancelled`
   * @throws GatewayError `configuration`
   */
  static async open(address: ClouddriverAddress, mayWrite: () => boolean): Promise<ClouddriverStorage> {
    return new ClouddriverStorage(await ClouddriverRequests.open(address), mayWrite, address.field);
  }

  /** All that the user may see, by name. @throws GatewayError `dependency-unavailable` */
  async all(signal: AbortSignal): Promise<ReadonlyMap<string, ClouddriverDefinition>> {
    const found = new Map<string, ClouddriverDefinition>();
    const reader = { get: (path: string, at: AbortSignal) => this.#get(path, at) };
    for await (const page of storedPages(reader, pageSize, signal))
      for (const { name, definition } of page) found.set(name, definition);
    return found;
  }

  /** @returns undefined: there is none, or the user may not see it @throws as all() */
  async find(name: string, signal: AbortSignal): Promise<ClouddriverDefinition | undefined> {
    const query = new URLSearchParams({ limit: '1', startingAccountName: name });
    const found = listOf(await this.#get(`/credentials/type/kubernetes?${query.toString()}`, signal));
    return found.find((account) => account.name === name)?.definition;
  }

  /** Never overwrites one. @throws GatewayError `dependency-unavailable`, `cancelled` */
  create(definition: ClouddriverDefinition, signal: AbortSignal): Promise<StorageRefusal> {
    return this.#write({ method: 'POST', path: '/credentials', body: definition }, signal);
  }

  /** In place of what is there. @throws as create() */
  save(definition: ClouddriverDefinition, signal: AbortSignal): Promise<StorageRefusal> {
    return this.#write({ method: 'PUT', path: '/credentials', body: definition }, signal);
  }

  /** @throws as create() */
  async delete(name: string, signal: AbortSignal): Promise<StorageRefusal> {
    const path = `/credentials/${encodeURIComponent(name)}`;
    const refusal = await this.#write({ method: 'DELETE', path }, signal);
    return refusal?.status === 404 ? undefined : refusal;
  }

  close(): Promise<void> {
    return this.#requests.close();
  }

  async #get(path: string, signal: AbortSignal): Promise<unknown> {
    const { status, text } = await this.#requests.send({ path }, signal);
    if (status === 200) return parsed(this.#field, text);
    const advice =
      status === 404 || /AccountDefinition\w+ bean/u.test(text)
        ? '; set account.storage.enabled and account.storage.kubernetes.enabled of Clouddriver to true'
        : '';
    throw unavailable(this.#field, refusalOf(status, text) + advice);
  }

  async #write(request: ClouddriverRequest, signal: AbortSignal): Promise<StorageRefusal> {
    const { status, text } = await this.#requests.send({ ...request, mayWrite: this.#mayWrite }, signal);
    if (status >= 200 && status < 300) return undefined;
    const message = refusalOf(status, text);
    if (away.has(status)) throw unavailable(this.#field, message);
    return { status, message };
  }
}

function parsed(field: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw unavailable(field, 'its answer is not JSON');
  }
}

function unavailable(field: string, reason: string): GatewayError {
  return new GatewayError('dependency-unavailable', `${field}: ${reason}`, { field });
}
