/** Operations, in flight and recent, with the path that each took. */

import { html, nothing } from '../vendor/lit-html.js';
import { repeat } from '../vendor/directives/repeat.js';
import { duration } from '../format.js';
import { empty, failure, outcomeBadge, pager, searchField, selectField, table, time } from '../parts.js';
import { currentRoute, href, refine, request } from '../route.js';
import { objectName, timeline } from './timeline.js';

/** @import { OperationPage, OperationRow } from '../../answers.js' */
/** @import { View } from '../app.js' */

const outcomes = ['completed', 'failed', 'timed out', 'cancelled', 'agent lost'];

/** @type {View} */
export function operationsView({ data, overview, params, now }) {
  const url = request('console/data/operations', params, ['account', 'outcome', 'page']);
  const { value, error, loading } = /** @type {{ value?: OperationPage, error?: string, loading: boolean }} */ (
    data.want('operations', url, overview.versions.operations)
  );
  const open = params.get('open') ?? '';
  const listed = value?.items.some(({ operationId }) => operationId === open) ?? false;
  return html`
    <form class="filters" role="search" @submit=${(/** @type {Event} */ event) => event.preventDefault()}>
      ${searchField('Account', 'account', params, 'The whole name')}
      ${selectField('Outcome', 'outcome', params, [
        ['', 'All'],
        ['pending', 'in flight'],
        ...outcomes.map((outcome) => /** @type {const} */ ([outcome, outcome])),
      ])}
      ${searchField('Operation', 'open', params, 'Its id')}
    </form>
    ${failure(error)}
    ${value === undefined || open === '' || listed ? nothing : single(data, open, overview.versions.operations, now)}
    ${
      value === undefined
        ? nothing
        : value.items.length === 0
          ? empty('No operation matches.', html`<p><a href=${href('operations')}>Show all operations</a></p>`)
          : html`${operationTable('Operations', value.items, params, now, loading)}${pager('operations', params, value)}`
    }
  `;
}

/** One that is not on the page. @param {import('../data.js').Data} data @param {string} id @param {number} version @param {number} now */
function single(data, id, version, now) {
  const { value, error } = /** @type {{ value?: OperationRow, error?: string }} */ (
    data.want('operation', `armory/agent/operations/${encodeURIComponent(id)}`, version)
  );
  if (error !== undefined) return html`<p class="notice" role="status">${error}</p>`;
  return value === undefined || value.operationId !== id
    ? nothing
    : html`<section class="card" aria-label=${`Operation ${id}`}>${timeline(value, now)}</section>`;
}

/**
 * @param {string} caption @param {readonly OperationRow[]} rows @param {URLSearchParams} params @param {number} now
 * @param {boolean} [loading]
 */
export function operationTable(caption, rows, params, now, loading = false) {
  const open = params.get('open');
  return table(
    caption,
    [
      { title: 'Timeline', kind: 'hidden' },
      'Started',
      'Operation',
      'Account',
      'Outcome',
      { title: 'Duration', kind: 'number' },
      'Path',
    ],
    repeat(
      rows,
      ({ operationId }) => operationId,
      (row) => operationRow(row, row.operationId === open, now),
    ),
    loading,
  );
}

/** @param {OperationRow} row @param {boolean} open @param {number} now */
function operationRow(row, open, now) {
  const { operationId, operationType, account, startTime, totalDurationMs, finalOutcome, verb, object } = row;
  const lasts = totalDurationMs ?? now - Date.parse(startTime);
  const details = `timeline-${operationId}`;
  return html`<tr class=${open ? 'open' : ''}>
      <td class="narrow">
        <button
          class="disclosure"
          aria-expanded=${open ? 'true' : 'false'}
          aria-controls=${open ? details : nothing}
          aria-label=${`Timeline of ${operationType} on ${account}, ${operationId}`}
          @click=${() => toggle(operationId, open)}
        >
          <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="M6 4l4 4-4 4" /></svg>
        </button>
      </td>
      <td>${time(startTime)}</td>
      <th scope="row">
        ${verb === undefined ? operationType : html`${verb} ${object?.resource} <span class="id quiet">${objectName(object)}</span>`}
      </th>
      <td><span class="id">${account}</span></td>
      <td>${outcomeBadge(finalOutcome)}</td>
      <td class="number">${duration(lasts)}</td>
      <td><span class="id quiet">${path(row)}</span></td>
    </tr>
    ${
      open
        ? html`<tr class="details" id=${details}>
            <td colspan="7">${timeline(row, now)}</td>
          </tr>`
        : nothing
    }`;
}

/** Where the operation went, without repeating a replica that did two steps. @param {OperationRow} row */
function path({ opReceivedByClouddriver, opProcessedByClouddriver, opSentToAgent, resultReceivedFromAgent }) {
  const entry = opReceivedByClouddriver?.clouddriverId;
  const owner = resultReceivedFromAgent?.clouddriverId ?? opProcessedByClouddriver?.clouddriverId;
  const agent = opSentToAgent?.agentId ?? resultReceivedFromAgent?.agentId;
  const stations = [entry, owner === entry ? undefined : owner, agent].filter((station) => station !== undefined);
  return stations.join(' → ');
}

/** @param {string} operationId @param {boolean} open */
function toggle(operationId, open) {
  const { params } = currentRoute();
  const page = params.get('page') ?? undefined;
  refine({ open: open ? undefined : operationId, page });
}
