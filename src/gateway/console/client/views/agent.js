/** One agent: where it is connected, and what it serves. */

import { html, nothing } from '../vendor/lit-html.js';
import { copyButton } from '../copy.js';
import { count } from '../format.js';
import { badge, empty, fact, failure, since } from '../parts.js';
import { accountHref, href } from '../route.js';
import { offlineAgentFacts } from './offline.js';
import { operationRequest } from './operation-filters.js';
import { operationTable, wantOperations } from './operations.js';

/** @import { AgentRow, Page } from '../../answers.js' */
/** @import { View } from '../app.js' */

/** @type {View} */
export function agentView(shown) {
  const { data, overview, id = '', params, now } = shown;
  const { versions } = overview;
  const list = /** @type {{ value?: Page<AgentRow>, error?: string }} */ (
    data.want(`agent ${id}`, `console/data/agents?agent=${encodeURIComponent(id)}`, versions.agents)
  );
  const filter = new URLSearchParams({ agent: id });
  const operations = wantOperations(data, `operations at ${id}`, operationRequest(filter, now), versions.operations);
  return html`
    <p class="trail"><a href=${href('agents')}>Agents</a></p>
    <h2 class="name-of-page"><span class="id">${id}</span>${copyButton(id, 'agent id')}</h2>
    ${failure(list.error)}
    ${
      list.value === undefined
        ? nothing
        : list.value.items.length === 0
          ? offlineAgentFacts(shown)
          : list.value.items.map((row) => facts(row, now))
    }
    <section>
      <div class="heading">
        <h3>Operations</h3>
        <a href=${href('operations', { agent: id })}>All of them, with filters</a>
      </div>
      ${failure(operations.error)}
      ${
        operations.value === undefined
          ? nothing
          : operations.value.items.length === 0
            ? empty('No operation in the history was sent to this agent.')
            : operationTable('Operations', operations.value.items, now, {
                loading: operations.loading,
                sorting: { view: 'agent', id, params },
              })
      }
    </section>
  `;
}

/** @param {AgentRow} row @param {number} now */
function facts({ agentId, clouddriverId, accounts, someAccounts, caches, lastConnection }, now) {
  return html`<dl class="facts card">
    ${fact('State', badge('ok', 'connected'))} ${fact('Replica', html`<span class="id">${clouddriverId}</span>`)}
    ${fact('Connected since', since(lastConnection, now))} ${fact('Caches', `${count(caches)} of ${count(accounts)}`)}
    ${fact(
      'Serves',
      html`<span class="names">
        ${someAccounts.map((name) => html`<a class="name" href=${accountHref(name)}>${name}</a> `)}
        <a href=${href('accounts', { agent: agentId })}>All ${count(accounts)}</a></span
      >`,
    )}
  </dl>`;
}
