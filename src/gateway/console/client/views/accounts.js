/** Accounts that connected agents serve, and who caches each. */

import { html, nothing } from '../vendor/lit-html.js';
import { repeat } from '../vendor/directives/repeat.js';
import { count, counted } from '../format.js';
import { badge, empty, failure, pager, searchField, selectField, table } from '../parts.js';
import { href, request } from '../route.js';

/** @import { AccountRow, Page } from '../../answers.js' */
/** @import { View } from '../app.js' */

/** @type {View} */
export function accountsView({ data, overview, params }) {
  const url = request('console/data/accounts', params, ['search', 'agent', 'cached', 'page']);
  const { value, error, loading } = /** @type {{ value?: Page<AccountRow>, error?: string, loading: boolean }} */ (
    data.want('accounts', url, overview.versions.agents)
  );
  const agent = params.get('agent');
  return html`
    <form class="filters" role="search" @submit=${(/** @type {Event} */ event) => event.preventDefault()}>
      ${searchField('Search', 'search', params, 'Part of an account’s name')}
      ${selectField('Cached', 'cached', params, [
        ['', 'All'],
        ['true', 'By somebody'],
        ['false', 'By nobody'],
      ])}
      ${agent === null ? nothing : html`<p class="filter">Of agent <span class="id">${agent}</span> <a href=${href('accounts')}>Show all</a></p>`}
    </form>
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
                : table(
                    'Accounts',
                    [
                      'Account',
                      'Cached by',
                      { title: 'Agents', kind: 'number' },
                      'Served by',
                      'Kubernetes API',
                      { title: 'Operations', kind: 'hidden' },
                    ],
                    repeat(value.items, ({ name }) => name, accountRow),
                    loading,
                  )
            }
            ${pager('accounts', params, value)}
          `
    }
  `;
}

/** @param {AccountRow} row */
function accountRow({ name, cachedBy, servedBy, agents, access }) {
  const others = agents - servedBy.length;
  return html`<tr>
    <th scope="row"><span class="id">${name}</span></th>
    <td>
      ${
        cachedBy === undefined
          ? badge('warn', 'nobody')
          : html`<span class="id">${cachedBy.agentId}</span> <span class="quiet">at ${cachedBy.clouddriverId}</span>`
      }
    </td>
    <td class="number">${count(agents)}</td>
    <td class="names">
      ${servedBy.map(({ agentId }) => html`<a class="name" href=${href('agents', { search: agentId })}>${agentId}</a> `)}${others > 0 ? html`<span class="quiet">and ${count(others)} more</span>` : nothing}
    </td>
    <td>${kubernetesApi(name, access)}</td>
    <td class="narrow">
      <a href=${href('operations', { account: name })} aria-label=${`Operations of ${name}`}>Operations</a>
    </td>
  </tr>`;
}

/** How kubectl reaches it. @param {string} name @param {string | undefined} access */
function kubernetesApi(name, access) {
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
