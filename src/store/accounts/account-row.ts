/** How columns of kubesvc_accounts are read and written. For src/store alone. */

import type { Selectable } from 'kysely';

import type { AccountStatus } from './account-lifecycle.js';
import type { AccountRecord } from './account-record.js';
import type { AccountsTable } from '../sql/schema.js';

export function accountRecord(row: Selectable<AccountsTable>): AccountRecord {
  const { namespaces = [], properties = {} } = parseProperties(row.props);
  return {
    name: row.name,
    status: statusOf(row),
    zoneId: row.zone_id ?? '',
    dynamic: Boolean(row.dynamic),
    connections: row.connections ?? 0,
    kubeHost: row.kube_host ?? '',
    kubeVersion: row.kube_version ?? '',
    certFingerprint: row.cert_fingerprint ?? '',
    maxWatchAgeSeconds: row.max_watch_age_seconds ?? 0,
    namespaces,
    properties,
    ...(row.definition === null ? {} : { definition: row.definition }),
    ...(row.error_message === null ? {} : { errorMessage: row.error_message }),
    failedCount: row.failed_count ?? 0,
    definitionVersion: row.definition_version,
    lastUpdated: row.last_updated ?? 0,
  };
}

interface Properties {
  readonly namespaces?: readonly string[];
  readonly properties?: Readonly<Record<string, string>>;
}

/** A value of Armory's plugin has another shape, and reads as empty until the agent registers again. */
export function parseProperties(props: string | null): Properties {
  if (props === null || props === '') return {};
  try {
    const parsed: unknown = JSON.parse(props);
    return typeof parsed === 'object' && parsed !== null ? parsed : {};
  } catch {
    return {};
  }
}

/** Armory's plugin may have left rows without a status. */
export function statusOf({ status }: Pick<Selectable<AccountsTable>, 'status'>): AccountStatus {
  return (status ?? 'ACTIVE') as AccountStatus;
}

const separator = '\n';

/** Instances as waiting_cd_ids has them. */
export function waitingText(instanceIds: Iterable<string>): string {
  return [...instanceIds].map((id) => separator + id + separator).join('');
}

export function waitingIds(text: string | null): string[] {
  return (text ?? '').split(separator).filter((id) => id !== '');
}
