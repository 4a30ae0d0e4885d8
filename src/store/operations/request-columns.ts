/** The columns that say who asked for an operation, and for what: kubesvc_ops and kubesvc_ops_history have the same. */

import type { InsertedColumn } from '../sql/bulk-insert.js';
import type { RequestColumns } from '../sql/schema.js';
import { storable } from '../sql/storable-text.js';
import { historyLengths } from '../sql/tables.js';
import type { RecordedObject, RecordedRequest } from './operation-record.js';

export const requestColumns = {
  caller: 'text',
  api_group: 'text',
  kind: 'text',
  resource: 'text',
  subresource: 'text',
  namespace: 'text',
  object_name: 'text',
  selector: 'text',
  other_objects: 'text',
  mode: 'text',
} as const satisfies Readonly<Record<keyof RequestColumns, InsertedColumn>>;

/** For SELECT. */
export const requestColumnNames = Object.keys(requestColumns) as (keyof RequestColumns)[];

/** In the order of `requestColumns`. */
export function requestValues({ caller, object, mode }: RecordedRequest): (string | null)[] {
  const { resource, subresource } = object === undefined ? {} : splitResource(object);
  return [
    storable(caller, historyLengths.caller),
    storable(object?.group, historyLengths.apiGroup),
    storable(object?.kind, historyLengths.kind),
    storable(resource, historyLengths.resource),
    storable(subresource, historyLengths.subresource),
    storable(object?.namespace, historyLengths.namespace),
    storable(object?.name, historyLengths.objectName),
    storable(object?.selector),
    storable(object?.others?.join('\n'), otherObjectsLength),
    storable(mode, historyLengths.mode),
  ];
}

export function recordedRequest(row: RequestColumns): RecordedRequest {
  return {
    ...(row.caller === null ? {} : { caller: row.caller }),
    ...(row.mode === null ? {} : { mode: row.mode }),
    ...(row.resource === null
      ? {}
      : {
          object: {
            group: row.api_group ?? '',
            ...(row.kind === null ? {} : { kind: row.kind }),
            resource: row.subresource === null ? row.resource : `${row.resource}/${row.subresource}`,
            namespace: row.namespace ?? '',
            name: row.object_name ?? '',
            ...(row.selector === null ? {} : { selector: row.selector }),
            ...(row.other_objects === null ? {} : { others: row.other_objects.split('\n') }),
          },
        }),
  };
}

/** Of all others together. */
const otherObjectsLength = 4_000;

/** So that one filter finds `pods` and `pods/exec`. A path, which begins with a slash, stays whole. */
function splitResource({ resource }: RecordedObject): {
  readonly resource: string;
  readonly subresource: string | undefined;
} {
  const slash = resource.indexOf('/', 1);
  if (slash === -1 || resource.startsWith('/')) return { resource, subresource: undefined };
  return { resource: resource.slice(0, slash), subresource: resource.slice(slash + 1) };
}
