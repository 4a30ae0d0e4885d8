/** Dynamic accounts: where each is in its lifecycle, and why it is not further. */

import { html, nothing } from '../vendor/lit-html.js';
import { count, counted } from '../format.js';
import { accountLink, ago, badge, empty, failure, pager, searchField, selectField } from '../parts.js';
import { accountHref, href, request } from '../route.js';
import { table } from '../table.js';

/** @import { DynamicAccountRow, Page } from '../../answers.js' */
/** @import { View } from '../app.js' */
/** @import { Tone } from '../parts.js' */
/** @import { Column } from '../table.js' */

/** @type {Readonly<Record<string, Tone>>} */
const tones = {
  ACTIVE: 'ok',
  INACTIVE: 'off',
  TO_MIGRATE: 'busy',
  ACTIVATING: 'busy',
  TO_DEACTIVATE: 'busy',
  DEACTIVATING: 'busy',
  DELETING: 'busy',
  ORPHANED: 'warn',
  FAILED: 'bad',
  DELETE_FAILED: 'bad',
};

/** @type {View} */
export function dynamicView({ data, overview, params, now }) {
  if (!overview.dynamic.enabled)
    return empty(
      'Dynamic accounts are off.',
      html`<p>Set <code>kubesvc.dynamicAccounts.enabled</code> to add accounts by REST and have agents serve them.</p>`,
    );
  const url = request('console/data/dynamic-accounts', params, ['search', 'status', 'sort', 'page']);
  const { value, error, loading } =
    /** @type {{ value?: Page<DynamicAccountRow>, error?: string, loading: boolean }} */ (
      data.want('dynamic', url, overview.versions.dynamic)
    );
  const { byStatus } = overview.dynamic;
  return html`
    <form class="filters" role="search" @submit=${(/** @type {Event} */ event) => event.preventDefault()}>
      ${searchField('Search', 'search', params, 'Part of an account’s name or of its last error')}
      ${selectField('State', 'status', params, [
        ['', 'All'],
        ...Object.keys(tones).map(
          (status) => /** @type {const} */ ([status, `${status} (${count(byStatus[status] ?? 0)})`]),
        ),
      ])}
    </form>
    ${failure(error)}
    ${
      value === undefined
        ? nothing
        : html`
            <p class="found" role="status">${counted(value.total, 'dynamic account')}</p>
            ${
              value.total === 0
                ? empty('No dynamic account matches.', html`<p><a href=${href('dynamic')}>Show all of them</a></p>`)
                : dynamicTable('Dynamic accounts', value.items, now, loading, params)
            }
            ${pager('dynamic', params, value)}
          `
    }
  `;
}

/**
 * @param {string} caption @param {readonly DynamicAccountRow[]} rows @param {number} now @param {boolean} [loading]
 * @param {URLSearchParams} [params] if they can be sorted
 */
export function dynamicTable(caption, rows, now, loading = false, params) {
  return table({
    caption,
    rows,
    loading,
    columns: columns(now),
    key: ({ name }) => name,
    target: ({ name }) => accountHref(name),
    ...(params === undefined ? {} : { sorting: { view: 'dynamic', params, standard: 'account' } }),
  });
}

/** @param {number} now @returns {readonly Column<DynamicAccountRow>[]} */
const columns = (now) => [
  { title: 'Account', kind: 'head', sort: 'account', cell: ({ name }) => accountLink(name) },
  { title: 'State', sort: 'state', cell: ({ status }) => dynamicState(status) },
  {
    title: 'Zone',
    kind: 'wide',
    cell: ({ zoneId }) => html`<span class="id quiet">${zoneId === '' ? 'any' : zoneId}</span>`,
  },
  {
    title: 'Agents',
    kind: 'number',
    sort: 'agents',
    label: 'agents',
    cell: ({ name, connections }) =>
      html`<a href=${href('agents', { search: name })} aria-label=${`${count(connections)} agents of ${name}`}
        >${count(connections)}</a
      >`,
  },
  {
    title: 'Failures',
    kind: 'number',
    sort: 'failures',
    label: 'failures',
    cell: ({ failedCount }) => count(failedCount),
  },
  {
    title: 'Last error',
    kind: 'whole',
    cell: ({ errorMessage }) => html`<span class="error">${errorMessage ?? nothing}</span>`,
  },
  { title: 'Changed', sort: 'changed', label: 'changed', cell: ({ lastUpdated }) => ago(lastUpdated, now) },
];

/** @param {string} status */
function dynamicState(status) {
  return badge(tones[status] ?? 'off', status);
}
