/**
 * The tables as Kysely sees them; `tables.ts` has the definitions that they are made from. Names that the contract
 * marks (A) are Armory's; the others are ours. Times are ms UTC.
 */

import type { ColumnType, Generated } from 'kysely';

/** Comes as 0 or 1 from MySQL. */
type Flag = ColumnType<boolean | number, boolean, boolean>;
/** Null only in rows that Armory's plugin wrote. */
type OrDefault<T> = ColumnType<T | null, T | undefined, T>;
type Adopted<T> = ColumnType<T | null, T, T>;

export interface Schema {
  kubesvc_accounts: AccountsTable;
  kubesvc_assignments: AssignmentsTable;
  kubesvc_ops: OperationsTable;
  kubesvc_ops_history: HistoryTable;
  kubesvc_instances: InstancesTable;
  kubesvc_locks: LocksTable;
  kubesvc_counters: CountersTable;
  kubesvc_zones: ZonesTable;
  kubesvc_owners: OwnersTable;
  kubesvc_token_revocations: TokenRevocationsTable;
  kubesvc_agents: AgentsTable;
  kubesvc_cache: CacheTable;
  kubesvc_cache_rel: CacheRelationsTable;
  kubesvc_resourceversion: ResourceVersionTable;
  kubesvc_clouddriver_accounts: ClouddriverAccountsTable;
  kubesvc_migrations: MigrationsTable;
}

export interface AccountsTable {
  name: string;
  last_updated: Adopted<number>;
  kube_version: string | null;
  kube_host: string | null;
  cert_fingerprint: string | null;
  max_watch_age_seconds: number | null;
  /** JSON: `{namespaces: string[], properties: {[name]: string}}`. */
  props: string | null;
  zone_id: string | null;
  dynamic: Flag;
  status: string | null;
  /** JSON, may hold secrets. */
  definition: string | null;
  error_message: string | null;
  failed_count: OrDefault<number>;
  /** Assignments of the account. */
  connections: OrDefault<number>;
  /** Ours: grows with every change of the account's assignments. */
  assignments_version: number;
  /** Ours: until then the agent of the next column may go on caching; 0: the assignments say which agent caches. */
  caching_free_time: ColumnType<number, number | undefined, number>;
  /** Ours: the agent that cached last and whose stream broke. */
  caching_agent_id: string | null;
  /** Ours, as the next ones; of dynamic accounts. Grows with every change of the definition. */
  definition_version: ColumnType<number, number | undefined, number>;
  /** When a replica must work on the account; during its turn: when the turn ends. Null: nothing to do. */
  due_time: number | null;
  /** Instances whose turn is still to come, each between two line feeds. */
  waiting_cd_ids: string | null;
  /** The instance that has its turn. */
  claimed_by_cd_id: string | null;
  /** Unique token of the turn, or of the call that made the row. */
  write_token: string | null;
}

export interface AssignmentsTable {
  id: Generated<number>;
  account_name: string;
  cd_id: string;
  connections: OrDefault<number>;
  caching: Flag;
  reachable: Flag;
  /** When the connection claimed the account. */
  last_updated: number;
  agent_id: string;
  /** Ours: the connection's number; 0 in rows that Armory's plugin wrote. */
  epoch: number;
  /** Ours: the agent's process; '' if it names none. */
  process_id: OrDefault<string>;
  /** Ours: number of the events.Caching stream that may write the account's objects; 0: none yet. */
  caching_stream: Generated<number>;
}

/** Ours: who asked for an operation, and for what. */
export interface RequestColumns {
  caller: string | null;
  api_group: string | null;
  /** As an operation names it. */
  kind: string | null;
  /** In the plural. Rows of older versions have the subresource here, too: `pods/exec`. */
  resource: string | null;
  subresource: string | null;
  namespace: string | null;
  object_name: string | null;
  selector: string | null;
  /** Of a manifest with several objects: the further ones, one a line. */
  other_objects: string | null;
  mode: string | null;
}

export interface OperationsTable extends RequestColumns {
  id: string;
  account: string;
  operation_type: string;
  body: Buffer;
  digest: string;
  received_by_cd_id: string;
  received_time: number;
  timeout_ms: number;
  /** On the database's clock, so that clocks of replicas do not matter. */
  deadline_time: number;
  sent_to_agent_id: string;
  sent_to_epoch: number;
  /** '' if the agent names none. */
  sent_to_process_id: string;
  /** The instance that continues it, once the originating instance is lost. */
  adopted_by_cd_id: string;
  /** Distinguishes the call that inserted the row from those that found it. */
  write_token: string;
}

export interface HistoryTable extends RequestColumns {
  operation_id: string;
  start_time: Adopted<number>;
  end_time: number | null;
  total_duration_ms: number | null;
  final_outcome: string | null;
  account: string | null;
  operation_type: string | null;
  received_by_cd_id: string | null;
  received_by_cd_time: number | null;
  processed_by_cd_id: string | null;
  processed_by_cd_time: number | null;
  sent_to_agent_id: string | null;
  sent_to_agent_time: number | null;
  res_received_from_agent_agent_id: string | null;
  res_received_from_agent_cd_id: string | null;
  res_received_from_agent_time: number | null;
  res_received_from_agent_result_status: number | null;
  res_received_from_agent_result_duration_ms: number | null;
  res_received_by_cd_id: string | null;
  res_received_by_cd_time: number | null;
  /** Ours, as the rest. */
  digest: string | null;
  error_message: string | null;
  result_message: string | null;
  write_token: string | null;
  verb: string | null;
  request_bytes: number | null;
  response_bytes: number | null;
  /** Of refused requests: the code of the error, and how many requests the row stands for. */
  reason: string | null;
  occurrences: number | null;
}

export interface InstancesTable {
  id: string;
  base_url: string;
  version: string;
  agents: number;
  /** Last heartbeat; 0 once the instance has ended its lease. */
  last_updated: number;
  /** When it first took a lease under this id. */
  first_seen_time: Generated<number>;
  /** The last heartbeat of a lost instance, once others have taken over what it owned. */
  reaped_time: Generated<number>;
}

export interface LocksTable {
  name: string;
  owner: string;
  expires_time: number;
}

export interface CountersTable {
  name: string;
  value: number;
}

export interface ZonesTable {
  zone_id: string;
  last_updated: number;
}

/** Ours: the principals of accounts and zones; stays when an account without agents is removed. */
export interface OwnersTable {
  kind: 'account' | 'zone';
  name: string;
  owner: string;
  bound_time: number;
}

/** Ours: stays when an account is removed. */
export interface TokenRevocationsTable {
  account: string;
  revoked_time: number;
}

/** Ours: the agents that are connected, and those that were, until they are forgotten. */
export interface AgentsTable {
  agent_id: string;
  zone_id: string;
  version: string;
  /** The instance that holds its stream, or held it last. */
  cd_id: string;
  /** The connection that wrote the row: writes of older ones change nothing. */
  epoch: number;
  /** JSON: the names of its accounts. */
  accounts: string | null;
  account_count: number;
  first_seen_time: number;
  connected_time: number;
  /** When its stream ended; null: it has not, as far as the instance could write it. */
  gone_time: number | null;
  /** Why it ended. */
  reason: string | null;
  message: string | null;
}

export interface CacheTable {
  /** `kubernetes.v2:infrastructure:<kind>:<account>:<namespace>:<name>`. */
  id: string;
  agent: string | null;
  kind: string;
  account: string;
  application: string | null;
  namespace: string | null;
  last_updated: number;
  /** Ours: grows with every snapshot of the account; objects that a snapshot did not contain have a lower one. */
  generation: number;
  /** The object as JSON. */
  body: string;
}

export interface CacheRelationsTable {
  /** Digest of (id, rel_type, rel_id), which together are too long for a key. */
  uuid: string;
  id: string;
  rel_id: string;
  rel_type: string;
  rel_agent: string | null;
  account: string;
  last_updated: number;
}

export interface ResourceVersionTable {
  /** `<account>:<ns_group_kind>`. */
  id: string;
  account: string;
  /** `<namespace>_<group>_<kind>`; namespace and group may be empty. */
  ns_group_kind: string;
  /** Resume point of the watch; '' while a snapshot of the scope is incomplete. */
  resourceversion: string;
  last_updated: number;
}

export interface ClouddriverAccountsTable {
  name: string;
  /** One of clouddriverStates in store/accounts/clouddriver-accounts.ts. */
  state: string;
  message: string | null;
  last_updated: number;
}

export interface MigrationsTable {
  name: string;
  applied_time: number;
  /** Older versions of the gateway must not run on the schema that this migration leaves. */
  breaking: Flag;
}
