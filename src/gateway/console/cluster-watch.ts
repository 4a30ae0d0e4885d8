/**
 * The whole cluster as the console shows it: read from the same sources as the REST API, once for all watchers, and not
 * at all while there are none.
 */

import { wait } from '../../core/retry.js';
import type { Discovery } from '../../discovery/discovery.js';
import type { AccountStore } from '../../store/accounts/accounts.js';
import type { ClouddriverAccountStore } from '../../store/accounts/clouddriver-accounts.js';
import type { DynamicAccountSummary } from '../../store/accounts/account-record.js';
import type { DynamicAccountStore } from '../../store/accounts/dynamic-accounts.js';
import type { FoundOperations, OperationFilter, OperationRecord } from '../../store/operations/operation-record.js';
import type { OperationStore } from '../../store/operations/operations.js';
import type { Offline } from '../../store/presence/presence.js';
import { apiAccessProperty } from '../rest/kubeconfig.js';
import {
  readPeriodMs as periodMs,
  type AgentsRead,
  type ClusterReader,
  type InstancesRead,
} from '../attention/cluster-reader.js';
import { Section } from '../attention/section.js';
import type { AccountRow, OutcomeChart, Page, SectionName } from './answers.js';
import { OutcomeHistory } from './outcome-history.js';

export interface ClusterWatchOptions {
  readonly reader: ClusterReader;
  readonly operations: Pick<OperationStore, 'list' | 'page' | 'outcomeCounts'>;
  /** Undefined: kubesvc.dynamicAccounts.enabled is false. */
  readonly dynamicAccounts: Pick<DynamicAccountStore, 'summaries'> | undefined;
  readonly accounts: Pick<AccountStore, 'properties'>;
  /** Absent: no Clouddriver gets accounts. */
  readonly clouddriverAccounts?: Pick<ClouddriverAccountStore, 'named'> | undefined;
  readonly discovery: Pick<Discovery, 'instances' | 'state'>;
  /** Ends readings that are under way. */
  readonly stopping: AbortSignal;
  readonly now: () => number;
}

export interface OperationsRead {
  /** The newest, to notice changes. */
  readonly newest: readonly OperationRecord[];
  readonly pending: readonly OperationRecord[];
}

export interface DynamicRead {
  readonly accounts: readonly DynamicAccountSummary[];
  readonly truncated: boolean;
}

/** How long what has been read waits for what has not, in ms. */
const soonMs = 250;
const maxDynamicAccounts = 50_000;
const dynamicPage = 1_000;
/** As many as a page of `GET /armory/agent/operations` can have. */
export const maxPending = 500;
const newestItems = 50;
const accessTimeoutMs = 2_000;
/** How long a search goes on, in ms: with some matches, and without any. */
const searchMs = { some: 200, none: 1_000 };
/** The most cached queries for operations; each costs at most one statement per period. */
const maxQuestions = 64;

export class ClusterWatch {
  /** Also has what is not shown as a list: what is offline, and what fails. */
  readonly reader: ClusterReader;
  readonly replicas: Section<InstancesRead>;
  readonly agents: Section<AgentsRead>;
  readonly offline: Section<Offline>;
  readonly operations: Section<OperationsRead>;
  readonly outcomes: Section<OutcomeChart>;
  readonly dynamic: Section<DynamicRead> | undefined;
  readonly discovery: ClusterWatchOptions['discovery'];
  readonly #options: ClusterWatchOptions;
  readonly #listeners = new Set<() => void>();
  readonly #questions = new Map<string, Section<FoundOperations>>();
  #questionsVersion = 0;
  #watching: AbortController | undefined;

  constructor(options: ClusterWatchOptions) {
    const { reader, operations, dynamicAccounts } = options;
    this.#options = options;
    this.discovery = options.discovery;
    this.reader = reader;
    this.replicas = reader.instances;
    this.agents = reader.agents;
    this.offline = reader.offline;
    this.operations = this.#section('operations', async (signal) => ({
      newest: await operations.list({ items: newestItems, page: 0 }, signal),
      pending: await operations.list({ items: maxPending, page: 0, outcomes: ['pending'] }, signal),
    }));
    const history = new OutcomeHistory(operations, options.now);
    this.outcomes = this.#section('outcomes of operations', (signal) => history.read(signal));
    this.dynamic =
      dynamicAccounts === undefined
        ? undefined
        : this.#section('dynamic accounts', (signal) => readDynamic(dynamicAccounts, signal));
  }

  /**
   * Calls `listener` after each change until it is unsubscribed; the first one starts the reading, the last one ends
   * it.
   */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (this.#watching === undefined) {
      const watching = new AbortController();
      this.#watching = watching;
      void this.#watch(watching.signal);
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#watching?.abort();
      this.#watching = undefined;
    };
  }

  /** Reads what is due. */
  async refresh(): Promise<void> {
    await Promise.all(this.#parts().map((part) => part.refresh()));
  }

  /** Names of what has not been read yet, and not failed either. */
  unread(): string[] {
    return this.#parts()
      .filter(({ value, error }) => value === undefined && error === undefined)
      .map(({ name }) => name);
  }

  sections(): [SectionName, Section<unknown>][] {
    return [
      ['replicas', this.replicas],
      ['agents', this.agents],
      ['offline', this.offline],
      ['operations', this.operations],
      ['outcomes', this.outcomes],
      ...(this.dynamic === undefined ? [] : ([['dynamic', this.dynamic]] as [SectionName, Section<unknown>][])),
    ];
  }

  /**
   * A page of operations, read once per period for all callers with the same query.
   * @throws GatewayError of the database
   */
  async operationPage(filter: OperationFilter): Promise<FoundOperations> {
    // A caller that asks because of a change must not get older data.
    if (this.#questionsVersion !== this.operations.version) this.#questions.clear();
    this.#questionsVersion = this.operations.version;
    const key = JSON.stringify(filter);
    const found = this.#questions.get(key);
    const section = found ?? this.#section('operations', (signal) => this.#search(filter, signal), 2);
    // The one asked for last is the last to be dropped.
    this.#questions.delete(key);
    this.#questions.set(key, section);
    const [oldest] = this.#questions.keys();
    if (this.#questions.size > maxQuestions && oldest !== undefined) this.#questions.delete(oldest);
    await section.refresh();
    return section.required();
  }

  /** What the store looks at in one step may have few matches, or none: goes on for a while. */
  async #search(filter: OperationFilter, signal: AbortSignal): Promise<FoundOperations> {
    const { operations } = this.#options;
    const start = performance.now();
    let page = await operations.page(filter, signal);
    const records = [...page.records];
    while (page.next !== undefined && records.length < filter.items) {
      if (performance.now() - start > searchMs[records.length > 0 ? 'some' : 'none']) break;
      page = await operations.page({ ...filter, items: filter.items - records.length, after: page.next }, signal);
      records.push(...page.records);
    }
    return { records, ...(page.next === undefined ? {} : { next: page.next }) };
  }

  /** The accounts with what callers may do with their Kubernetes API, and what became of them at Clouddriver, as far as that can be read now. */
  async withAccess(page: Page<AccountRow>): Promise<Page<AccountRow>> {
    const names = page.items.map(({ name }) => name);
    const deadline = AbortSignal.any([this.#options.stopping, AbortSignal.timeout(accessTimeoutMs)]);
    // The rest of the page can be shown without it.
    const [found, records] = await Promise.all([
      this.#options.accounts.properties(names, deadline).catch(() => undefined),
      this.#options.clouddriverAccounts?.named(names, deadline).catch(() => undefined),
    ]);
    if (found === undefined) return page;
    const there = new Map(
      records?.map(({ name, state, message, lastUpdated }) => [
        name,
        { clouddriver: { state, message, lastUpdated: new Date(lastUpdated).toISOString() } },
      ]),
    );
    const access = (name: string) => found.get(name)?.[apiAccessProperty] ?? 'off';
    return { ...page, items: page.items.map((row) => ({ ...row, access: access(row.name), ...there.get(row.name) })) };
  }

  async #watch(signal: AbortSignal): Promise<void> {
    let last = '';
    while (!signal.aborted && !this.#options.stopping.aborted) {
      // What takes long does not hold up the rest: it is told when it has been read.
      const isRead = await Promise.race([
        this.refresh().then(() => true),
        wait(soonMs, signal).then(
          () => false,
          () => true,
        ),
      ]);
      const state = JSON.stringify([
        this.#parts().map(({ version, error }) => [version, error]),
        this.discovery.instances().map(({ id, baseUrl, ready }) => [id, baseUrl, ready]),
        this.discovery.state().status,
      ]);
      if (state !== last) for (const listener of this.#listeners) listener();
      last = state;
      if (isRead) await wait(periodMs, signal).catch(() => undefined);
    }
  }

  /** All that is read; some of the reader's parts are sections of the page, too. */
  #parts(): Section<unknown>[] {
    return [...new Set([...this.reader.parts, ...this.sections().map(([, section]) => section)])];
  }

  #section<Value>(name: string, read: (signal: AbortSignal) => Promise<Value>, rate = 1): Section<Value> {
    const { stopping, now } = this.#options;
    return new Section({ name, read, periodMs: (periodMs * 0.9) / rate, stopping, now });
  }
}

async function readDynamic(store: Pick<DynamicAccountStore, 'summaries'>, signal: AbortSignal): Promise<DynamicRead> {
  const accounts: DynamicAccountSummary[] = [];
  for (;;) {
    const page = await store.summaries(accounts.at(-1)?.name ?? '', dynamicPage, signal);
    accounts.push(...page);
    if (page.length < dynamicPage) return { accounts, truncated: false };
    if (accounts.length >= maxDynamicAccounts) return { accounts, truncated: true };
  }
}
