/**
 * The tables' definitions: migrations create tables from them, and compare tables that Armory's plugin made
 * with them. Every column beyond the key has a default or may be null, so that it can be added to a table with rows.
 */

import type { Schema } from './schema.js';

export type ColumnKind =
  /** Text that is compared byte by byte, `length` characters at most. */
  | { readonly kind: 'name'; readonly length: number }
  | { readonly kind: 'text' }
  | { readonly kind: 'bytes' }
  | { readonly kind: 'number'; readonly size: 'bigint' | 'int' }
  | { readonly kind: 'flag' }
  /** A number that the database assigns. */
  | { readonly kind: 'identity' };

export interface ColumnDefinition {
  readonly type: ColumnKind;
  /** Absent: may be null. For key columns: the value for existing rows. */
  readonly default?: string | number | boolean;
}

export interface TableDefinition {
  readonly name: keyof Schema;
  readonly columns: Readonly<Record<string, ColumnDefinition>>;
  readonly primaryKey: readonly string[];
  /** Without them the gateway works incorrectly. */
  readonly unique?: readonly (readonly string[])[];
  /** Without them it works slowly. */
  readonly indexes?: readonly (readonly string[])[];
}

const name = (length = 255): ColumnDefinition => ({ type: { kind: 'name', length }, default: '' });
const optionalName = (length = 255): ColumnDefinition => ({ type: { kind: 'name', length } });
const text: ColumnDefinition = { type: { kind: 'text' } };
const bytes: ColumnDefinition = { type: { kind: 'bytes' } };
const bigint: ColumnDefinition = { type: { kind: 'number', size: 'bigint' }, default: 0 };
const optionalBigint: ColumnDefinition = { type: { kind: 'number', size: 'bigint' } };
const int: ColumnDefinition = { type: { kind: 'number', size: 'int' }, default: 0 };
const optionalInt: ColumnDefinition = { type: { kind: 'number', size: 'int' } };
const flag = (value: boolean): ColumnDefinition => ({ type: { kind: 'flag' }, default: value });

/** Ids of operations are ULIDs, or chosen by a caller. */
const operationId = name(128);
/** The longest key: InnoDB takes 3,072 bytes, 4 for each character. */
const objectId = name(700);

/** Characters of what a caller wrote; it is cut to them. Names of objects have 253 at most, those of namespaces 63. */
export const historyLengths = {
  account: 255,
  operationType: 255,
  caller: 255,
  verb: 32,
  apiGroup: 255,
  kind: 255,
  resource: 255,
  subresource: 255,
  namespace: 255,
  objectName: 255,
  mode: 255,
  reason: 32,
};

/** Who asked for an operation, and for what. */
const request: Readonly<Record<string, ColumnDefinition>> = {
  caller: optionalName(historyLengths.caller),
  api_group: optionalName(historyLengths.apiGroup),
  kind: optionalName(historyLengths.kind),
  resource: optionalName(historyLengths.resource),
  subresource: optionalName(historyLengths.subresource),
  namespace: optionalName(historyLengths.namespace),
  object_name: optionalName(historyLengths.objectName),
  selector: text,
  other_objects: text,
  mode: optionalName(historyLengths.mode),
};

/** The first schema. What comes later is a migration of its own. */
export const initialTables: readonly TableDefinition[] = [
  {
    name: 'kubesvc_accounts',
    columns: {
      name: name(),
      last_updated: bigint,
      kube_version: optionalName(),
      kube_host: optionalName(1_024),
      cert_fingerprint: optionalName(1_024),
      max_watch_age_seconds: optionalBigint,
      props: text,
      zone_id: optionalName(),
      dynamic: flag(false),
      status: optionalName(32),
      definition: text,
      error_message: text,
      failed_count: int,
      connections: int,
      assignments_version: bigint,
      caching_free_time: bigint,
      caching_agent_id: optionalName(),
      definition_version: bigint,
      due_time: optionalBigint,
      waiting_cd_ids: text,
      claimed_by_cd_id: optionalName(),
      write_token: optionalName(36),
    },
    primaryKey: ['name'],
    indexes: [['status', 'last_updated'], ['caching_free_time'], ['due_time'], ['zone_id']],
  },
  {
    name: 'kubesvc_assignments',
    columns: {
      id: { type: { kind: 'identity' } },
      account_name: name(),
      cd_id: name(),
      connections: int,
      caching: flag(false),
      reachable: flag(true),
      last_updated: bigint,
      agent_id: name(),
      epoch: bigint,
      process_id: name(64),
      caching_stream: bigint,
    },
    primaryKey: ['id'],
    unique: [['account_name', 'agent_id']],
    indexes: [
      ['agent_id', 'account_name'],
      ['cd_id', 'account_name'],
    ],
  },
  {
    name: 'kubesvc_ops',
    columns: {
      id: operationId,
      account: name(),
      operation_type: name(),
      body: bytes,
      digest: name(),
      received_by_cd_id: name(),
      received_time: bigint,
      timeout_ms: bigint,
      deadline_time: bigint,
      sent_to_agent_id: name(),
      sent_to_epoch: bigint,
      sent_to_process_id: name(64),
      adopted_by_cd_id: name(),
      write_token: name(36),
      ...request,
    },
    primaryKey: ['id'],
    indexes: [['account', 'id'], ['received_by_cd_id', 'id'], ['deadline_time'], ['received_time']],
  },
  {
    name: 'kubesvc_ops_history',
    columns: {
      operation_id: operationId,
      start_time: bigint,
      end_time: optionalBigint,
      total_duration_ms: optionalBigint,
      final_outcome: optionalName(32),
      account: optionalName(),
      operation_type: optionalName(),
      received_by_cd_id: optionalName(),
      received_by_cd_time: optionalBigint,
      processed_by_cd_id: optionalName(),
      processed_by_cd_time: optionalBigint,
      sent_to_agent_id: optionalName(),
      sent_to_agent_time: optionalBigint,
      res_received_from_agent_agent_id: optionalName(),
      res_received_from_agent_cd_id: optionalName(),
      res_received_from_agent_time: optionalBigint,
      res_received_from_agent_result_status: optionalInt,
      res_received_from_agent_result_duration_ms: optionalBigint,
      res_received_by_cd_id: optionalName(),
      res_received_by_cd_time: optionalBigint,
      digest: optionalName(),
      error_message: text,
      result_message: text,
      write_token: optionalName(36),
      verb: optionalName(historyLengths.verb),
      ...request,
      request_bytes: optionalBigint,
      response_bytes: optionalBigint,
      reason: optionalName(historyLengths.reason),
      occurrences: optionalInt,
    },
    primaryKey: ['operation_id'],
    // One for each filter of the list (store/operations/search-statements.ts) but that of the replica.
    indexes: [
      ['start_time', 'operation_id'],
      ['account', 'start_time'],
      ['final_outcome', 'start_time'],
      ['operation_type', 'start_time'],
      ['resource', 'start_time'],
      ['namespace', 'start_time'],
      ['object_name', 'start_time'],
      ['caller', 'start_time'],
      ['sent_to_agent_id', 'start_time'],
    ],
  },
  {
    name: 'kubesvc_instances',
    columns: {
      id: name(),
      base_url: name(1_024),
      version: name(),
      agents: bigint,
      last_updated: bigint,
      first_seen_time: bigint,
      reaped_time: bigint,
    },
    primaryKey: ['id'],
  },
  {
    name: 'kubesvc_locks',
    columns: { name: name(), owner: name(), expires_time: bigint },
    primaryKey: ['name'],
  },
  { name: 'kubesvc_counters', columns: { name: name(), value: bigint }, primaryKey: ['name'] },
  { name: 'kubesvc_zones', columns: { zone_id: name(), last_updated: bigint }, primaryKey: ['zone_id'] },
  {
    name: 'kubesvc_cache',
    columns: {
      id: objectId,
      agent: optionalName(),
      kind: name(),
      account: name(),
      application: optionalName(),
      namespace: optionalName(),
      last_updated: bigint,
      generation: bigint,
      body: text,
    },
    primaryKey: ['id'],
    indexes: [['account', 'kind', 'namespace'], ['application'], ['kind', 'last_updated']],
  },
  {
    name: 'kubesvc_cache_rel',
    columns: {
      uuid: name(64),
      id: objectId,
      rel_id: objectId,
      rel_type: name(),
      rel_agent: optionalName(),
      account: name(),
      last_updated: bigint,
    },
    primaryKey: ['uuid'],
    indexes: [['id'], ['rel_id'], ['account']],
  },
  {
    name: 'kubesvc_resourceversion',
    columns: {
      id: objectId,
      account: name(),
      ns_group_kind: name(512),
      resourceversion: name(),
      last_updated: bigint,
    },
    primaryKey: ['id'],
    indexes: [['account']],
  },
];

/** The principals of accounts and zones. */
export const ownersTable: TableDefinition = {
  name: 'kubesvc_owners',
  columns: { kind: name(16), name: name(), owner: name(1_024), bound_time: bigint },
  primaryKey: ['kind', 'name'],
};

/** When the tokens of accounts were revoked. */
export const tokenRevocationsTable: TableDefinition = {
  name: 'kubesvc_token_revocations',
  columns: { account: name(), revoked_time: bigint },
  primaryKey: ['account'],
};

/** What became of accounts at Clouddriver. */
export const clouddriverAccountsTable: TableDefinition = {
  name: 'kubesvc_clouddriver_accounts',
  columns: { name: name(), state: name(32), message: text, last_updated: bigint },
  primaryKey: ['name'],
};

/** Characters of the texts in kubesvc_agents that agents and errors bring; they are cut to them. */
export const agentLengths = { zoneId: 255, version: 255, reason: 32 };

/** The agents that are connected, and those that were. */
export const agentsTable: TableDefinition = {
  name: 'kubesvc_agents',
  columns: {
    agent_id: name(),
    zone_id: name(agentLengths.zoneId),
    version: name(agentLengths.version),
    cd_id: name(),
    epoch: bigint,
    accounts: text,
    account_count: int,
    first_seen_time: bigint,
    connected_time: bigint,
    gone_time: optionalBigint,
    reason: optionalName(agentLengths.reason),
    message: text,
  },
  primaryKey: ['agent_id'],
  indexes: [['gone_time', 'account_count'], ['cd_id']],
};

/** Created before any other table, to record which migrations were applied. */
export const migrationsTable: TableDefinition = {
  name: 'kubesvc_migrations',
  columns: { name: name(), applied_time: bigint, breaking: flag(false) },
  primaryKey: ['name'],
};
