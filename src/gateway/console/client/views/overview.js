/** The first page: is everything all right, and if not, what is not. */

import { html, nothing } from '../vendor/lit-html.js';
import { count, counted } from '../format.js';
import { badge, bar, empty, failure, since } from '../parts.js';
import { href } from '../route.js';
import { table } from '../table.js';
import { attentionSection } from './attention.js';
import { outcomeChart } from './chart.js';
import { dynamicTable } from './dynamic-accounts.js';
import { failures } from './operation-filters.js';
import { operationTable, wantOperations } from './operations.js';

/** @import { DynamicAccountRow, Overview, Page, Replica } from '../../answers.js' */
/** @import { InstanceHealth } from '../../../attention/answer.js' */
/** @import { View } from '../app.js' */
/** @import { Column } from '../table.js' */

const failedUrl = `console/data/operations?${new URLSearchParams(failures.map((outcome) => ['outcome', outcome])).toString()}`;
const shown = 8;

/** @type {View} */
export function overviewView({ data, overview, now }) {
  const { versions, dynamic, chart, attention, unread } = overview;
  const pending = wantOperations(data, 'pending', 'console/data/operations?outcome=pending', versions.operations);
  const failed = wantOperations(data, 'failed', failedUrl, versions.operations);
  return html`
    ${attentionSection(attention, unread.length === 0 && attention.problems.length === 0, now)}
    ${
      chart === undefined
        ? nothing
        : html`<section>
            <div class="heading"><h2>Operations of the last hour</h2></div>
            <div class="card">${outcomeChart(chart)}</div>
          </section>`
    }
    <section>
      <div class="heading">
        <h2>Latest failures</h2>
        <a href=${href('operations', { outcome: 'failures' })}>All failures</a>
      </div>
      ${failure(failed.error)}
      ${
        failed.value === undefined || failed.value.items.length === 0
          ? empty('Every operation in the history has completed.')
          : operationTable('Latest failures', failed.value.items.slice(0, shown), now)
      }
    </section>
    <section>
      <h2>Replicas</h2>
      ${replicaTable(overview, now)}
    </section>
    <section>
      <div class="heading">
        <h2>In flight</h2>
        <a href=${href('operations', { outcome: 'pending' })}>All in flight</a>
      </div>
      ${
        pending.value === undefined || pending.value.items.length === 0
          ? empty('No operation that changes a cluster is under way.')
          : operationTable('Operations in flight', pending.value.items.slice(0, shown), now)
      }
    </section>
    ${dynamic.enabled ? troubled(data, versions.dynamic, dynamic.byStatus, now) : nothing}
  `;
}

/** @param {Overview} overview @param {number} now */
function replicaTable({ replicas, instanceId, pending, attention }, now) {
  const most = Math.max(1, ...replicas.map(({ agents }) => agents));
  /** @type {readonly Column<Replica>[]} */
  const columns = [
    {
      title: 'Replica',
      kind: 'head',
      cell: ({ id }) =>
        html`<span class="id">${id}${id === instanceId ? html` <span class="tag">this one</span>` : nothing}</span>`,
    },
    { title: 'State', cell: (replica) => replicaState(replica, attention.instances.items, now) },
    {
      title: 'Agents',
      kind: 'number',
      label: 'agents',
      cell: ({ id, agents }) => html`<a href=${href('agents', { replica: id })}>${count(agents)}</a>`,
    },
    { title: 'Load', kind: 'wide', cell: ({ agents }) => bar(agents / most) },
    { title: 'Accounts', kind: 'number', label: 'accounts', cell: ({ accounts }) => count(accounts) },
    {
      title: 'In flight',
      kind: 'number',
      label: 'in flight',
      cell: ({ pending: own }) => html`${count(own)}${pending.more ? '+' : nothing}`,
    },
    { title: 'Version', kind: 'wide', cell: ({ version }) => version ?? 'unknown' },
    { title: 'Address', kind: 'wide', cell: ({ baseUrl }) => html`<span class="id quiet">${baseUrl}</span>` },
  ];
  return table({ caption: 'Replicas', columns, rows: replicas, key: ({ id }) => id });
}

/** @param {Replica} replica @param {readonly InstanceHealth[]} health @param {number} now */
function replicaState({ id, ready, lostSince }, health, now) {
  const known = health.find(({ clouddriverId }) => clouddriverId === id);
  const state = known?.state ?? (lostSince !== undefined ? 'lost' : ready ? 'ready' : 'not ready');
  const tone = state === 'ready' ? (known?.reason === undefined ? 'ok' : 'warn') : 'bad';
  const start = known?.since ?? lostSince;
  return html`${badge(tone, known?.replacedBy === undefined ? state : `${state}, replaced by ${known.replacedBy}`)}
  ${start === undefined ? nothing : html`<span class="quiet">since </span>${since(start, now)}`}`;
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
        : dynamicTable('Dynamic accounts in trouble', list.value.items.slice(0, shown), now)
    }
  </section>`;
}
