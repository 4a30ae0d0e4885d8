/** Agents, the replicas that hold their streams, and the accounts that they serve. */

import { html, nothing } from '../vendor/lit-html.js';
import { count, counted } from '../format.js';
import { agentLink, ago, badge, empty, failure, pager, searchField, selectField } from '../parts.js';
import { accountHref, agentHref, href, request } from '../route.js';
import { table } from '../table.js';
import { offlineAgents } from './offline.js';

/** @import { AgentRow, Page } from '../../answers.js' */
/** @import { Shown, View } from '../app.js' */
/** @import { Column } from '../table.js' */

/** @type {View} */
export function agentsView(shown) {
  const { params, overview } = shown;
  const offline = params.get('state') === 'offline';
  return html`
    <form class="filters" role="search" @submit=${(/** @type {Event} */ event) => event.preventDefault()}>
      ${searchField('Search', 'search', params, 'Part of an agent’s id or an account’s name')}
      ${selectField('State', 'state', params, [
        ['', 'Connected'],
        ['offline', `Offline (${count(overview.attention.agents.offline)})`],
      ])}
      ${
        offline
          ? nothing
          : html`${selectField('Replica', 'replica', params, [
              ['', 'All'],
              ...overview.replicas.map(({ id }) => /** @type {const} */ ([id, id])),
            ])}
            ${selectField('Caching', 'caching', params, [
              ['', 'All'],
              ['true', 'Caches accounts'],
              ['false', 'Caches nothing'],
            ])}`
      }
    </form>
    ${offline ? offlineAgents(shown) : connectedAgents(shown)}
  `;
}

/** @param {Shown} shown */
function connectedAgents({ data, overview, params, now }) {
  const url = request('console/data/agents', params, ['search', 'replica', 'caching', 'sort', 'page']);
  const { value, error, loading } = /** @type {{ value?: Page<AgentRow>, error?: string, loading: boolean }} */ (
    data.want('agents', url, overview.versions.agents)
  );
  return html`
    ${failure(error)}
    ${
      value === undefined
        ? nothing
        : html`
            <p class="found" role="status">${counted(value.total, 'agent')}</p>
            ${
              value.total === 0
                ? empty('No connected agent matches.', html`<p><a href=${href('agents')}>Show all agents</a></p>`)
                : table({
                    caption: 'Agents',
                    rows: value.items,
                    loading,
                    columns: columns(now),
                    key: ({ agentId, clouddriverId }) => `${agentId} ${clouddriverId}`,
                    target: ({ agentId }) => agentHref(agentId),
                    sorting: { view: 'agents', params, standard: 'agent' },
                  })
            }
            ${pager('agents', params, value)}
          `
    }
  `;
}

/** @param {number} now @returns {readonly Column<AgentRow>[]} */
const columns = (now) => [
  { title: 'Agent', kind: 'head', sort: 'agent', cell: ({ agentId }) => agentLink(agentId) },
  {
    title: 'Replica',
    sort: 'replica',
    label: 'at',
    cell: ({ clouddriverId }) => html`<span class="id">${clouddriverId}</span>`,
  },
  {
    title: 'Accounts',
    kind: 'number',
    sort: 'accounts',
    label: 'accounts',
    cell: ({ agentId, accounts }) =>
      html`<a href=${href('accounts', { agent: agentId })} aria-label=${`${count(accounts)} accounts of ${agentId}`}
        >${count(accounts)}</a
      >`,
  },
  { title: 'Serves', kind: 'whole', cell: served },
  {
    title: 'Caching',
    sort: 'caches',
    label: 'caches',
    cell: ({ caches, accounts }) =>
      caches === 0
        ? badge('off', 'nothing')
        : badge('ok', caches === accounts ? 'all' : `${count(caches)} of ${count(accounts)}`),
  },
  {
    title: 'Connected for',
    sort: 'connected',
    label: 'connected for',
    cell: ({ lastConnection }) => ago(lastConnection, now),
  },
];

/** @param {AgentRow} row */
function served({ accounts, someAccounts }) {
  const others = accounts - someAccounts.length;
  return html`<span class="names"
    >${someAccounts.map((name) => html`<a class="name" href=${accountHref(name)}>${name}</a> `)}${others > 0 ? html`<span class="quiet">and ${count(others)} more</span>` : nothing}</span
  >`;
}
