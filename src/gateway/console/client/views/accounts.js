/** Accounts that connected agents serve, and who caches each. */

import { html, nothing } from '../vendor/lit-html.js';
import { count, counted } from '../format.js';
import { accountLink, agentLink, badge, empty, failure, pager, searchField, selectField } from '../parts.js';
import { accountHref, agentHref, href, request } from '../route.js';
import { table } from '../table.js';
import { offlineAccounts } from './offline.js';

/** @import { AccountRow, Page } from '../../answers.js' */
/** @import { Shown, View } from '../app.js' */
/** @import { Column } from '../table.js' */

/** @type {View} */
export function accountsView(shown) {
  const { params, overview } = shown;
  const offline = params.get('state') === 'offline';
  const agent = params.get('agent');
  return html`
    <form class="filters" role="search" @submit=${(/** @type {Event} */ event) => event.preventDefault()}>
      ${searchField('Search', 'search', params, 'Part of an account’s name')}
      ${selectField('State', 'state', params, [
        ['', 'Served'],
        ['offline', `Offline (${count(overview.attention.accounts.offline)})`],
      ])}
      ${
        offline
          ? nothing
          : selectField('Cached', 'cached', params, [
              ['', 'All'],
              ['true', 'By somebody'],
              ['false', 'By nobody'],
            ])
      }
      ${agent === null ? nothing : html`<p class="filter">Of agent <span class="id">${agent}</span> <a href=${href('accounts')}>Show all</a></p>`}
    </form>
    ${offline ? offlineAccounts(shown) : servedAccounts(shown)}
  `;
}

/** @param {Shown} shown */
function servedAccounts({ data, overview, params }) {
  const url = request('console/data/accounts', params, ['search', 'agent', 'cached', 'sort', 'page']);
  const { value, error, loading } = /** @type {{ value?: Page<AccountRow>, error?: string, loading: boolean }} */ (
    data.want('accounts', url, overview.versions.agents)
  );
  return html`
    ${failure(error)}
    ${
      value === undefined
        ? nothing
        : html`
            <p class="found" role="status">${counted(value.total, 'account')}</p>
            ${
              value.total === 0
                ? empty(
                    'No account that a connected agent serves matches.',
                    html`<p><a href=${href('accounts')}>Show all accounts</a></p>`,
                  )
                : table({
                    caption: 'Accounts',
                    rows: value.items,
                    loading,
                    columns,
                    key: ({ name }) => name,
                    target: ({ name }) => accountHref(name),
                    sorting: { view: 'accounts', params, standard: 'account' },
                  })
            }
            ${pager('accounts', params, value)}
          `
    }
  `;
}

/** @type {readonly Column<AccountRow>[]} */
const columns = [
  { title: 'Account', kind: 'head', sort: 'account', cell: ({ name }) => accountLink(name) },
  { title: 'Cached by', sort: 'cached', label: 'cached by', cell: ({ cachedBy }) => cacher(cachedBy) },
  { title: 'Agents', kind: 'number', sort: 'agents', label: 'agents', cell: ({ agents }) => count(agents) },
  { title: 'Served by', kind: 'whole', cell: servers },
  { title: 'Kubernetes API', label: 'Kubernetes API', cell: ({ name, access }) => kubernetesApi(name, access) },
  {
    title: 'Operations',
    kind: 'wide',
    cell: ({ name }) =>
      html`<a href=${href('operations', { account: name })} aria-label=${`Operations of ${name}`}>Operations</a>`,
  },
];

/** @param {AccountRow['cachedBy']} agent */
export function cacher(agent) {
  return agent === undefined
    ? badge('warn', 'nobody')
    : html`${agentLink(agent.agentId)} <span class="quiet">at ${agent.clouddriverId}</span>`;
}

/** @param {AccountRow} row */
export function servers({ servedBy, agents }) {
  const others = agents - servedBy.length;
  return html`<span class="names"
    >${servedBy.map(({ agentId }) => html`<a class="name" href=${agentHref(agentId)}>${agentId}</a> `)}${others > 0 ? html`<span class="quiet">and ${count(others)} more</span>` : nothing}</span
  >`;
}

/** How kubectl reaches it. @param {string} name @param {string | undefined} access */
export function kubernetesApi(name, access) {
  if (access === undefined) return html`<span class="quiet">unknown</span>`;
  if (access !== 'read' && access !== 'full') return html`<span class="quiet">off</span>`;
  const word = /^[\w.:@%+,/-]+$/u.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
  return html`<details>
    <summary>${access}</summary>
    <pre class="commands">
agent-gateway kubeconfig ${word} --merge --rest ${new URL('.', location.href).href.replace(/\/$/u, '')}
kubectl --context ${word} get pods</pre>
  </details>`;
}
