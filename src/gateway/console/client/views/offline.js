/** Agents that were connected, and accounts that nobody serves any more: since when, last seen where, and why. */

import { html, nothing } from '../vendor/lit-html.js';
import { count, counted } from '../format.js';
import { accountLink, agentLink, badge, empty, fact, failure, pager, since } from '../parts.js';
import { accountHref, agentHref, href, request } from '../route.js';
import { table } from '../table.js';

/** @import { OfflineAccountRow, OfflineAgentRow, Page } from '../../answers.js' */
/** @import { Shown } from '../app.js' */
/** @import { Column } from '../table.js' */

const parameters = ['search', 'agent', 'account', 'sort', 'page'];

/** @param {Shown} shown */
export function offlineAgents({ data, overview, params, now }) {
  const url = request('console/data/offline-agents', params, parameters);
  const { value, error, loading } = /** @type {{ value?: Page<OfflineAgentRow>, error?: string, loading: boolean }} */ (
    data.want('offline agents', url, overview.versions.offline)
  );
  if (value === undefined) return failure(error);
  return html`${failure(error)}
    <p class="found" role="status">${counted(value.total, 'agent')} offline</p>
    ${
      value.total === 0
        ? empty('No agent that is offline matches.', html`<p><a href=${href('agents')}>Show connected agents</a></p>`)
        : table({
            caption: 'Offline agents',
            rows: value.items,
            loading,
            columns: agentColumns(now),
            key: ({ agentId }) => agentId,
            target: ({ agentId }) => agentHref(agentId),
            sorting: { view: 'agents', params, standard: '-since' },
          })
    }
    ${pager('agents', params, value)}`;
}

/** @param {number} now @returns {readonly Column<OfflineAgentRow>[]} */
const agentColumns = (now) => [
  { title: 'Agent', kind: 'head', sort: 'name', cell: ({ agentId }) => agentLink(agentId) },
  {
    title: 'Offline since',
    sort: 'since',
    label: 'offline since',
    cell: ({ offlineSince }) => since(offlineSince, now),
  },
  { title: 'Why', kind: 'whole', cell: whyGone },
  {
    title: 'Last seen at',
    sort: 'replica',
    label: 'last seen at',
    cell: ({ clouddriverId }) => html`<span class="id">${clouddriverId}</span>`,
  },
  { title: 'Accounts', kind: 'number', sort: 'accounts', label: 'accounts', cell: ({ accounts }) => count(accounts) },
  { title: 'Served', kind: 'whole', cell: served },
];

/** @param {Pick<OfflineAgentRow, 'reason' | 'message' | 'replacedBy'>} row */
function whyGone({ reason, message, replacedBy }) {
  return html`<span class="error">${reason}${message === undefined ? nothing : `: ${message}`}</span>${
      replacedBy === undefined ? nothing : html`<span class="quiet">replaced by </span>${agentLink(replacedBy)}`
    }`;
}

/** @param {OfflineAgentRow} row */
function served({ accounts, someAccounts }) {
  const others = accounts - someAccounts.length;
  return html`<span class="names"
    >${someAccounts.map((name) => html`<a class="name" href=${accountHref(name)}>${name}</a> `)}${others > 0 ? html`<span class="quiet">and ${count(others)} more</span>` : nothing}</span
  >`;
}

/** @param {Shown} shown */
export function offlineAccounts({ data, overview, params, now }) {
  const url = request('console/data/offline-accounts', params, parameters);
  const { value, error, loading } =
    /** @type {{ value?: Page<OfflineAccountRow>, error?: string, loading: boolean }} */ (
      data.want('offline accounts', url, overview.versions.offline)
    );
  if (value === undefined) return failure(error);
  return html`${failure(error)}
    <p class="found" role="status">${counted(value.total, 'account')} offline</p>
    ${
      value.total === 0
        ? empty(
            'No account that is offline matches.',
            html`<p><a href=${href('accounts')}>Show served accounts</a></p>`,
          )
        : table({
            caption: 'Offline accounts',
            rows: value.items,
            loading,
            columns: accountColumns(now),
            key: ({ name }) => name,
            target: ({ name }) => accountHref(name),
            sorting: { view: 'accounts', params, standard: '-since' },
          })
    }
    ${pager('accounts', params, value)}`;
}

/** @param {number} now @returns {readonly Column<OfflineAccountRow>[]} */
const accountColumns = (now) => [
  { title: 'Account', kind: 'head', sort: 'name', cell: ({ name }) => accountLink(name) },
  {
    title: 'Offline since',
    sort: 'since',
    label: 'offline since',
    cell: ({ offlineSince }) => since(offlineSince, now),
  },
  { title: 'Why', kind: 'whole', cell: whyGone },
  { title: 'Last agent', label: 'last agent', cell: ({ lastAgentId }) => agentLink(lastAgentId) },
  {
    title: 'Last seen at',
    sort: 'replica',
    label: 'last seen at',
    cell: ({ clouddriverId }) => html`<span class="id">${clouddriverId}</span>`,
  },
];

/** What is known of an agent that is not connected. @param {Shown} shown */
export function offlineAgentFacts({ data, overview, id = '', now }) {
  const { value, error } = /** @type {{ value?: Page<OfflineAgentRow>, error?: string }} */ (
    data.want(
      `offline agent ${id}`,
      `console/data/offline-agents?agent=${encodeURIComponent(id)}`,
      overview.versions.offline,
    )
  );
  const [row] = value?.items ?? [];
  if (row === undefined) {
    return html`${failure(error)}
      <p class="notice bad" role="status">
        ${badge('bad', 'Not connected')} <span>No agent of this id is connected, or was in the time that is kept.</span>
      </p>`;
  }
  return html`<dl class="facts card">
    ${fact('State', badge(row.replacedBy === undefined ? 'bad' : 'off', 'offline'))}
    ${fact('Since', since(row.offlineSince, now))} ${fact('Why', whyGone(row))}
    ${fact('Last seen at', html`<span class="id">${row.clouddriverId}</span>`)} ${fact('Version', row.version)}
    ${fact('Served', served(row))}
  </dl>`;
}

/** What is known of an account that nobody serves. @param {Shown} shown */
export function offlineAccountFacts({ data, overview, id = '', now }) {
  const { value, error } = /** @type {{ value?: Page<OfflineAccountRow>, error?: string }} */ (
    data.want(
      `offline account ${id}`,
      `console/data/offline-accounts?account=${encodeURIComponent(id)}`,
      overview.versions.offline,
    )
  );
  const [row] = value?.items ?? [];
  if (row === undefined) {
    return html`${failure(error)}
      <p class="notice bad" role="status">
        ${badge('bad', 'Not served')}
        <span>No connected agent serves an account of this name, and none did in the time that is kept.</span>
      </p>`;
  }
  return html`<dl class="facts card">
    ${fact('State', badge('bad', 'offline'))} ${fact('Since', since(row.offlineSince, now))}
    ${fact('Why', whyGone(row))} ${fact('Last agent', agentLink(row.lastAgentId))}
    ${fact('Last seen at', html`<span class="id">${row.clouddriverId}</span>`)}
  </dl>`;
}
