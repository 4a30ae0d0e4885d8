/** Operations, in flight and recent: what was done to which object, by whom, and why it failed. */

import { html, nothing } from '../vendor/lit-html.js';
import { count, counted, duration, timeOfDay, zoneLabel } from '../format.js';
import { accountLink, agentLink, empty, failure, outcomeBadge, time } from '../parts.js';
import { currentRoute, href, operationHref, setOpen } from '../route.js';
import { table } from '../table.js';
import { operationFilters, operationRequest } from './operation-filters.js';
import { objectLink, timeline, verbAndKind } from './timeline.js';

/** @import { OperationList, OperationRow } from '../../answers.js' */
/** @import { Data } from '../data.js' */
/** @import { View } from '../app.js' */
/** @import { Column } from '../table.js' */

/** @type {View} */
export function operationsView({ data, overview, params, now }) {
  const open = params.get('open') ?? '';
  const { value, error, loading } = wantOperations(
    data,
    'operations',
    operationRequest(params, now),
    overview.versions.operations,
  );
  const listed = value?.items.some(({ operationId }) => operationId === open) ?? false;
  return html`
    ${operationFilters(params, overview.replicas)} ${failure(error)}
    ${value === undefined || open === '' || listed ? nothing : notListed(open)}
    ${
      value === undefined
        ? nothing
        : value.items.length === 0
          ? noOperation(value)
          : operationTable('Operations', value.items, now, { loading, sorting: { view: 'operations', params } })
    }
    ${value === undefined ? nothing : olderOperations('operations', params, value)}
  `;
}

/** @param {OperationList} list */
export function noOperation({ next }) {
  return next === undefined
    ? empty('No operation matches.', html`<p><a href=${href('operations')}>Show all operations</a></p>`)
    : empty('No operation matches among those searched so far.');
}

/**
 * Links to the newest operations, and to those that are older than the ones shown.
 * @param {string} view @param {URLSearchParams} params @param {OperationList} list @param {string} [id]
 */
export function olderOperations(view, params, { next, searchedTo }, id) {
  const { open: _open, after, ...rest } = Object.fromEntries(params);
  if (after === undefined && next === undefined) return nothing;
  return html`<nav class="pager" aria-label="Pages">
    ${after === undefined ? nothing : html`<a class="button" href=${href(view, rest, id)}>Newest</a>`}
    ${next === undefined ? html`<span class="quiet">These are the oldest.</span>` : html`<a class="button" href=${href(view, { ...rest, after: next }, id)}>${searchedTo === undefined ? 'Older' : 'Search further back'}</a>`}
    ${searchedTo === undefined ? nothing : html`<span role="status">Searched back to ${timeOfDay(searchedTo)} ${zoneLabel()}.</span>`}
  </nav>`;
}

/** @param {Data} data @param {string} name @param {string} url @param {number} version */
export function wantOperations(data, name, url, version) {
  return /** @type {{ value?: OperationList, error?: string, loading: boolean }} */ (data.want(name, url, version));
}

/** The address names one that is on another page of the list, or that the filters leave out. @param {string} id */
function notListed(id) {
  return html`<p class="notice" role="status">
    The open operation is not among those listed. <a href=${operationHref(id)}>Show it by itself</a>
  </p>`;
}

/** @param {OperationRow} row @param {number} now Unix ms */
const durationOf = ({ startTime, totalDurationMs }, now) => totalDurationMs ?? now - Date.parse(startTime);

const newestFirst = '-started';
/** @type {Readonly<Record<string, (row: OperationRow, now: number) => string | number>>} */
const orders = {
  started: ({ startTime }) => startTime,
  operation: ({ verb, operationType, object }) => [verb ?? operationType, object?.kind, object?.name].join(' '),
  account: ({ account }) => account,
  outcome: ({ finalOutcome }) => finalOutcome ?? '',
  duration: durationOf,
  caller: ({ caller }) => caller ?? '',
  agent: (row) => agentIdOf(row) ?? '',
};

/** Equal ones stay newest first. @param {readonly OperationRow[]} rows @param {string} order @param {number} now */
function sorted(rows, order, now) {
  const down = order.startsWith('-');
  const key = orders[down ? order.slice(1) : order];
  if (key === undefined || order === newestFirst) return rows;
  return rows.toSorted((a, b) => {
    const [one, other] = [key(a, now), key(b, now)];
    return (one < other ? -1 : one > other ? 1 : 0) * (down ? -1 : 1);
  });
}

/** Their columns. @param {number} now @returns {readonly Column<OperationRow>[]} */
const columns = (now) => [
  { title: `Started, ${zoneLabel()}`, sort: 'started', cell: ({ startTime }) => time(startTime) },
  { title: 'Operation', kind: 'head', sort: 'operation', cell: operationName },
  { title: 'Account', sort: 'account', cell: ({ account }) => accountLink(account) },
  { title: 'Outcome', kind: 'whole', sort: 'outcome', cell: outcomeAndError },
  { title: 'Duration', kind: 'number', sort: 'duration', cell: (row) => duration(durationOf(row, now)) },
  {
    title: 'Caller',
    kind: 'wide',
    sort: 'caller',
    cell: ({ caller }) => html`<span class="id quiet cut" title=${caller ?? nothing}>${caller ?? ''}</span>`,
  },
  { title: 'Agent', kind: 'wide', sort: 'agent', cell: (row) => agentOf(row) },
];

/**
 * The server's list is newest first, however long the history is; another order is one of the rows that are shown.
 * @param {string} caption @param {readonly OperationRow[]} rows @param {number} now
 * @param {{ loading?: boolean, sorting?: { view: string, id?: string, params: URLSearchParams } }} [options]
 */
export function operationTable(caption, rows, now, { loading = false, sorting } = {}) {
  const open = currentRoute().params.get('open');
  const order = sorting?.params.get('sort') ?? newestFirst;
  return html`${order === newestFirst || sorting === undefined ? nothing : sortedPart(rows.length, sorting)}
  ${table({
    caption,
    columns: columns(now),
    rows: sorted(rows, order, now),
    loading,
    key: ({ operationId }) => operationId,
    ...(sorting === undefined ? {} : { sorting: { ...sorting, standard: newestFirst, part: true } }),
    disclosure: {
      isOpen: ({ operationId }) => operationId === open,
      name: ({ operationType, account, operationId }) => `Timeline of ${operationType} on ${account}, ${operationId}`,
      set: ({ operationId }, wanted) => setOpen(operationId, wanted),
      content: (row) => timeline(row, now),
    },
  })}`;
}

/** @param {number} shown @param {{ view: string, id?: string, params: URLSearchParams }} sorting */
function sortedPart(shown, { view, id, params }) {
  const { sort: _, ...rest } = Object.fromEntries(params);
  return html`<p class="found" role="status">
    Only the ${counted(shown, 'operation')} on this page are sorted; the pages are newest first.
    <a href=${href(view, rest, id)}>Show this page newest first</a>
  </p>`;
}

/** @param {OperationRow} row */
function operationName(row) {
  return html`${verbAndKind(row)} ${objectLink(row)}`;
}

/** @param {OperationRow} row */
function outcomeAndError({ finalOutcome, message, count: times = 1 }) {
  return html`${outcomeBadge(finalOutcome)}${times === 1 ? nothing : html` <span class="quiet">${count(times)} times</span>`}${
    finalOutcome === 'completed' || message === undefined ? nothing : html`<span class="error">${message}</span>`
  }`;
}

/** @param {OperationRow} row */
function agentIdOf({ opSentToAgent, resultReceivedFromAgent }) {
  return opSentToAgent?.agentId ?? resultReceivedFromAgent?.agentId;
}

/** @param {OperationRow} row */
function agentOf(row) {
  const agent = agentIdOf(row);
  return agent === undefined ? nothing : agentLink(agent);
}
