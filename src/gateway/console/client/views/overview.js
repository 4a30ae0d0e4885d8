/** The first page: is everything all right, and if not, what is not. */

import { html, nothing } from '../vendor/lit-html.js';
import { count, counted } from '../format.js';
import { badge, bar, empty, failure, table } from '../parts.js';
import { href } from '../route.js';
import { dynamicRows, dynamicColumns } from './dynamic-accounts.js';
import { operationTable } from './operations.js';

/** @import { DynamicAccountRow, OperationPage, Overview, Page } from '../../answers.js' */
/** @import { View } from '../app.js' */

const shown = 8;

/** @type {View} */
export function overviewView({ data, overview, params, now }) {
  const { versions, dynamic } = overview;
  const pending = /** @type {{ value?: OperationPage }} */ (
    data.want('pending', 'console/data/operations?outcome=pending', versions.operations)
  );
  const failed = /** @type {{ value?: OperationPage, error?: string }} */ (
    data.want('failed', 'console/data/operations?outcome=failed', versions.operations)
  );
  return html`
    <section>
      <h2>Replicas</h2>
      ${replicaTable(overview)}
    </section>
    <section>
      <div class="heading">
        <h2>In flight</h2>
        <a href=${href('operations', { outcome: 'pending' })}>All in flight</a>
      </div>
      ${
        pending.value === undefined || pending.value.items.length === 0
          ? empty('No operation that changes a cluster is under way.')
          : operationTable('Operations in flight', pending.value.items.slice(0, shown), params, now)
      }
    </section>
    <section>
      <div class="heading">
        <h2>Latest failures</h2>
        <a href=${href('operations', { outcome: 'failed' })}>All failures</a>
      </div>
      ${failure(failed.error)}
      ${
        failed.value === undefined || failed.value.items.length === 0
          ? empty('No failed operation in the history.')
          : operationTable('Latest failures', failed.value.items.slice(0, shown), params, now)
      }
    </section>
    ${dynamic.enabled ? troubled(data, versions.dynamic, dynamic.byStatus, now) : nothing}
  `;
}

/** @param {Overview} overview */
function replicaTable({ replicas, instanceId, pending }) {
  const most = Math.max(1, ...replicas.map(({ agents }) => agents));
  return table(
    'Replicas',
    [
      'Replica',
      'State',
      { title: 'Agents', kind: 'number' },
      'Load',
      { title: 'Accounts', kind: 'number' },
      { title: 'In flight', kind: 'number' },
      'Version',
      'Address',
    ],
    replicas.map(
      ({ id, ready, agents, accounts, pending: own, version, baseUrl }) =>
        html`<tr>
          <th scope="row">
            <span class="id">${id}${id === instanceId ? html` <span class="tag">this one</span>` : nothing}</span>
          </th>
          <td>${replicaState(ready, version)}</td>
          <td class="number"><a href=${href('agents', { replica: id })}>${count(agents)}</a></td>
          <td>${bar(agents / most)}</td>
          <td class="number">${count(accounts)}</td>
          <td class="number">${count(own)}${pending.more ? '+' : nothing}</td>
          <td>${version ?? 'unknown'}</td>
          <td><span class="id quiet">${baseUrl}</span></td>
        </tr>`,
    ),
  );
}

/** @param {boolean} ready @param {string | undefined} version */
function replicaState(ready, version) {
  if (version === undefined) return badge('bad', 'no heartbeat');
  return ready ? badge('ok', 'ready') : badge('warn', 'not ready');
}

/**
 * @param {import('../data.js').Data} data @param {number} version
 * @param {Readonly<Record<string, number>>} byStatus @param {number} now
 */
function troubled(data, version, byStatus, now) {
  const worst = ['FAILED', 'DELETE_FAILED', 'ORPHANED'].find((status) => (byStatus[status] ?? 0) > 0);
  if (worst === undefined) return nothing;
  const list = /** @type {{ value?: Page<DynamicAccountRow> }} */ (
    data.want('troubled', `console/data/dynamic-accounts?status=${worst}`, version)
  );
  return html`<section>
    <div class="heading">
      <h2>Dynamic accounts: ${counted(byStatus[worst] ?? 0, worst, worst)}</h2>
      <a href=${href('dynamic', { status: worst })}>All of them</a>
    </div>
    ${
      list.value === undefined
        ? nothing
        : table('Dynamic accounts in trouble', dynamicColumns, dynamicRows(list.value.items.slice(0, shown), now))
    }
  </section>`;
}
