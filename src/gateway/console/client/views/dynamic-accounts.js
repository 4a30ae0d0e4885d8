/** Dynamic accounts: where each is in its lifecycle, and why it is not further. */

import { html, nothing } from '../vendor/lit-html.js';
import { repeat } from '../vendor/directives/repeat.js';
import { age, count, counted } from '../format.js';
import { badge, empty, failure, pager, searchField, selectField, table } from '../parts.js';
import { href, request } from '../route.js';

/** @import { DynamicAccountRow, Page } from '../../answers.js' */
/** @import { View } from '../app.js' */
/** @import { Tone } from '../parts.js' */

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

export const dynamicColumns = /** @type {const} */ ([
  'Account',
  'State',
  'Zone',
  { title: 'Agents', kind: 'number' },
  { title: 'Failures', kind: 'number' },
  'Last error',
  'Changed',
]);

/** @type {View} */
export function dynamicView({ data, overview, params, now }) {
  if (!overview.dynamic.enabled)
    return empty(
      'Dynamic accounts are off.',
      html`<p>Set <code>kubesvc.dynamicAccounts.enabled</code> to add accounts by REST and have agents serve them.</p>`,
    );
  const url = request('console/data/dynamic-accounts', params, ['search', 'status', 'page']);
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
                : table('Dynamic accounts', dynamicColumns, dynamicRows(value.items, now), loading)
            }
            ${pager('dynamic', params, value)}
          `
    }
  `;
}

/** @param {readonly DynamicAccountRow[]} rows @param {number} now */
export function dynamicRows(rows, now) {
  return repeat(
    rows,
    ({ name }) => name,
    ({ name, status, zoneId, connections, failedCount, errorMessage, lastUpdated }) =>
      html`<tr>
        <th scope="row"><span class="id">${name}</span></th>
        <td>${badge(tones[status] ?? 'off', status)}</td>
        <td><span class="id quiet">${zoneId === '' ? 'any' : zoneId}</span></td>
        <td class="number">
          <a href=${href('agents', { search: name })} aria-label=${`${count(connections)} agents of ${name}`}
            >${count(connections)}</a
          >
        </td>
        <td class="number">${count(failedCount)}</td>
        <td class="message">${errorMessage ?? nothing}</td>
        <td><time datetime=${lastUpdated} title=${lastUpdated}>${age(now - Date.parse(lastUpdated))}</time></td>
      </tr>`,
  );
}
