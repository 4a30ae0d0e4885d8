/** Agents, the replicas that hold their streams, and the accounts that they serve. */

import { html, nothing } from '../vendor/lit-html.js';
import { repeat } from '../vendor/directives/repeat.js';
import { age, count, counted } from '../format.js';
import { badge, empty, failure, pager, searchField, selectField, table } from '../parts.js';
import { href, request } from '../route.js';

/** @import { AgentRow, Page } from '../../answers.js' */
/** @import { View } from '../app.js' */

/** @type {View} */
export function agentsView({ data, overview, params, now }) {
  const url = request('console/data/agents', params, ['search', 'replica', 'caching', 'page']);
  const { value, error, loading } = /** @type {{ value?: Page<AgentRow>, error?: string, loading: boolean }} */ (
    data.want('agents', url, overview.versions.agents)
  );
  return html`
    <form class="filters" role="search" @submit=${(/** @type {Event} */ event) => event.preventDefault()}>
      ${searchField('Search', 'search', params, 'Part of an agent’s id or an account’s name')}
      ${selectField('Replica', 'replica', params, [
        ['', 'All'],
        ...overview.replicas.map(({ id }) => /** @type {const} */ ([id, id])),
      ])}
      ${selectField('Caching', 'caching', params, [
        ['', 'All'],
        ['true', 'Caches accounts'],
        ['false', 'Caches nothing'],
      ])}
    </form>
    ${failure(error)}
    ${
      value === undefined
        ? nothing
        : html`
            <p class="found" role="status">${counted(value.total, 'agent')}</p>
            ${
              value.total === 0
                ? empty('No connected agent matches.', html`<p><a href=${href('agents')}>Show all agents</a></p>`)
                : table(
                    'Agents',
                    ['Agent', 'Replica', { title: 'Accounts', kind: 'number' }, 'Serves', 'Caching', 'Connected for'],
                    repeat(
                      value.items,
                      ({ agentId, clouddriverId }) => `${agentId} ${clouddriverId}`,
                      (row) => agentRow(row, now),
                    ),
                    loading,
                  )
            }
            ${pager('agents', params, value)}
          `
    }
  `;
}

/** @param {AgentRow} row @param {number} now */
function agentRow({ agentId, clouddriverId, accounts, someAccounts, caches, lastConnection }, now) {
  const others = accounts - someAccounts.length;
  return html`<tr>
    <th scope="row"><span class="id">${agentId}</span></th>
    <td><span class="id">${clouddriverId}</span></td>
    <td class="number">
      <a href=${href('accounts', { agent: agentId })} aria-label=${`${count(accounts)} accounts of ${agentId}`}
        >${count(accounts)}</a
      >
    </td>
    <td class="names">
      ${someAccounts.map((name) => html`<span class="name">${name}</span> `)}${others > 0 ? html`<span class="quiet">and ${count(others)} more</span>` : nothing}
    </td>
    <td>
      ${caches === 0 ? badge('off', 'nothing') : badge('ok', caches === accounts ? 'all' : `${count(caches)} of ${count(accounts)}`)}
    </td>
    <td><time datetime=${lastConnection} title=${lastConnection}>${age(now - Date.parse(lastConnection))}</time></td>
  </tr>`;
}
