/** One account: who serves it, how callers reach it, and how its operations end. */

import { html, nothing } from '../vendor/lit-html.js';
import { copyButton } from '../copy.js';
import { badge, fact, failure, since } from '../parts.js';
import { href } from '../route.js';
import { cacher, kubernetesApi, servers } from './accounts.js';
import { offlineAccountFacts } from './offline.js';
import { operationFilters, operationRequest } from './operation-filters.js';
import { noOperation, olderOperations, operationTable, wantOperations } from './operations.js';

/** @import { AccountRow, Page } from '../../answers.js' */
/** @import { Shown, View } from '../app.js' */
/** @import { Tone } from '../parts.js' */

/** @type {View} */
export function accountView(shown) {
  const { data, overview, id = '', params, now } = shown;
  const { versions, replicas } = overview;
  const list = /** @type {{ value?: Page<AccountRow>, error?: string }} */ (
    data.want(`account ${id}`, `console/data/accounts?account=${encodeURIComponent(id)}`, versions.agents)
  );
  const row = list.value?.items[0];
  const filter = new URLSearchParams(params);
  filter.set('account', id);
  const operations = wantOperations(data, `operations of ${id}`, operationRequest(filter, now), versions.operations);
  return html`
    <p class="trail"><a href=${href('accounts')}>Accounts</a></p>
    <h2 class="name-of-page"><span class="id">${id}</span>${copyButton(id, 'account name')}</h2>
    ${failure(list.error)}
    ${list.value === undefined ? nothing : row === undefined ? offlineAccountFacts(shown) : facts(row, shown)}
    <section>
      <h3>Operations</h3>
      ${operationFilters(filter, replicas, true)} ${failure(operations.error)}
      ${
        operations.value === undefined
          ? nothing
          : html`${
              operations.value.items.length === 0
                ? noOperation(operations.value)
                : operationTable('Operations', operations.value.items, now, {
                    loading: operations.loading,
                    sorting: { view: 'account', id, params },
                  })
            }${olderOperations('account', params, operations.value, id)}`
      }
    </section>
  `;
}

/** @param {AccountRow} row @param {Shown} shown */
function facts(row, { now }) {
  return html`<dl class="facts card">
    ${fact('Cached by', cacher(row.cachedBy))} ${fact('Served by', servers(row))}
    ${fact('Kubernetes API', kubernetesApi(row.name, row.access))}
    ${row.clouddriver === undefined ? nothing : fact('At Clouddriver', atClouddriver(row.clouddriver, now))}
  </dl>`;
}

/** @type {Readonly<Record<string, Tone>>} */
const clouddriverTones = { registered: 'ok', waiting: 'busy', leaving: 'off' };

/** @param {NonNullable<AccountRow['clouddriver']>} clouddriver @param {number} now */
function atClouddriver({ state, message, lastUpdated }, now) {
  return html`${badge(clouddriverTones[state] ?? 'bad', state)}
    <span class="quiet">since</span> ${since(lastUpdated, now)}${
      message === undefined ? nothing : html`<span class="error">${message}</span>`
    }`;
}
