/**
 * The data that the console's page gets from its server; client/ reads these types too, so this file imports nothing but types
 * that import nothing.
 */

import type { Attention } from '../attention/answer.js';

/** `GET /console/events` and `/console/data/overview`. */
export interface Overview {
  /** The replica that answers. */
  readonly instanceId: string;
  readonly version: string;
  readonly replicas: readonly Replica[];
  readonly discovery: { readonly known: boolean; readonly error?: string };
  readonly agents: { readonly count: number; readonly accounts: number; readonly uncachedAccounts: number };
  /** Operations that are under way; `more`: there are more than were counted. */
  readonly pending: { readonly count: number; readonly more: boolean };
  readonly dynamic: DynamicSummary;
  /** Absent: not read yet. */
  readonly chart?: OutcomeChart;
  /** As `GET /armory/attention`. */
  readonly attention: Attention;
  /** Grow with each change: a section that the page shows with another number is out of date. */
  readonly versions: Readonly<Record<SectionName, number>>;
  /** What has not been read yet, in words: what the page shows of it is empty. */
  readonly unread: readonly string[];
  /** Sections whose last reading failed; the page shows their earlier data. */
  readonly problems: readonly SectionProblem[];
  /** There are more agents or accounts than the console reads; it shows the first ones. */
  readonly truncated: boolean;
}

export type SectionName = 'replicas' | 'agents' | 'offline' | 'operations' | 'outcomes' | 'dynamic';

export interface SectionProblem {
  readonly section: SectionName;
  readonly error: string;
  /** Unix ms; absent: never. */
  readonly lastRead?: number;
}

export interface Replica {
  readonly id: string;
  readonly baseUrl: string;
  readonly ready: boolean;
  /** Agents at it, and accounts that they serve. */
  readonly agents: number;
  readonly accounts: number;
  /** Operations under way that it received and answers for. */
  readonly pending: number;
  /** Absent: it sent no heartbeat within its lease. */
  readonly version?: string;
  /** ISO 8601, of its last sign of life; absent: it is not lost. */
  readonly lostSince?: string;
}

export type DynamicSummary =
  { readonly enabled: false } | { readonly enabled: true; readonly byStatus: Readonly<Record<string, number>> };

/** How operations ended, by the time of their start. */
export interface OutcomeChart {
  /** Start of the first step, Unix ms. */
  readonly start: number;
  readonly stepMs: number;
  readonly steps: readonly OutcomeStep[];
}

export interface OutcomeStep {
  readonly completed: number;
  /** Everything that did not complete. */
  readonly failed: number;
}

/** A page of a list; `total` counts all pages. */
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly total: number;
  readonly page: number;
  readonly pages: number;
}

export interface AgentRow {
  readonly agentId: string;
  readonly clouddriverId: string;
  readonly accounts: number;
  /** The first few of them; matches of the search come first. */
  readonly someAccounts: readonly string[];
  /** How many of its accounts it caches. */
  readonly caches: number;
  /** ISO 8601. */
  readonly lastConnection: string;
}

/** An agent that was connected, and is not. */
export interface OfflineAgentRow {
  readonly agentId: string;
  /** The replica where it was connected last. */
  readonly clouddriverId: string;
  readonly version: string;
  readonly accounts: number;
  readonly someAccounts: readonly string[];
  /** ISO 8601. */
  readonly offlineSince: string;
  readonly reason: string;
  readonly message?: string;
  /** The agent that has taken its place. */
  readonly replacedBy?: string;
}

/** An account that agents served, and none serves. */
export interface OfflineAccountRow {
  readonly name: string;
  readonly lastAgentId: string;
  readonly clouddriverId: string;
  /** ISO 8601. */
  readonly offlineSince: string;
  readonly reason: string;
  readonly message?: string;
}

export interface AccountRow {
  readonly name: string;
  /** Absent: nobody. */
  readonly cachedBy?: AgentAt;
  /** The first few. */
  readonly servedBy: readonly AgentAt[];
  readonly agents: number;
  /** What its agents let callers do with its Kubernetes API; absent: that cannot be read now. */
  readonly access?: string;
  /** What became of it at Clouddriver; absent: Clouddriver is not to have it, or that cannot be read now. */
  readonly clouddriver?: {
    readonly state: string;
    readonly message: string | undefined;
    readonly lastUpdated: string;
  };
}

export interface AgentAt {
  readonly agentId: string;
  readonly clouddriverId: string;
}

export interface DynamicAccountRow {
  readonly name: string;
  readonly status: string;
  readonly zoneId: string;
  readonly connections: number;
  readonly failedCount: number;
  readonly errorMessage?: string;
  /** ISO 8601. */
  readonly lastUpdated: string;
}

export interface OperationStep {
  readonly clouddriverId: string;
  readonly time: string;
}

/** As `GET /armory/agent/operations` has it. */
export interface OperationRow {
  readonly operationId: string;
  readonly operationType: string;
  readonly account: string;
  readonly startTime: string;
  readonly endTime?: string;
  readonly totalDurationMs?: number;
  readonly finalOutcome?: string;
  readonly message?: string;
  readonly opReceivedByClouddriver?: OperationStep;
  readonly opProcessedByClouddriver?: OperationStep;
  readonly opSentToAgent?: { readonly agentId: string; readonly time: string };
  readonly resultReceivedFromAgent?: {
    readonly agentId: string;
    readonly clouddriverId: string;
    readonly time: string;
    readonly result: { readonly status: number; readonly durationMs: number };
  };
  readonly resultReceivedByClouddriver?: OperationStep;
  readonly caller?: string;
  readonly verb?: string;
  readonly object?: OperationObject;
  readonly mode?: string;
  /** Of a refused one: why, and how many requests it stands for. */
  readonly reason?: string;
  readonly count?: number;
  readonly requestBytes?: number;
  readonly responseBytes?: number;
}

export interface OperationObject {
  readonly group: string;
  readonly kind?: string;
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly selector?: string;
  /** The further ones of a manifest. */
  readonly others?: readonly string[];
}

export interface OperationList {
  readonly items: readonly OperationRow[];
  /**
   * Where the list goes on, as the parameter `after` takes it; absent: this was all. A search looks only so far back at a
   * time, so that there may be few items, or none, and more further back.
   */
  readonly next?: string;
  /** Unix ms; how far back it has been looked, if there are fewer items than a page has. */
  readonly searchedTo?: number;
}
