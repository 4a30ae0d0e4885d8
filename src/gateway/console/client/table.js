/**
 * Tables. A column is described once: its title, how a row's cell looks, and by what it is sorted. Where the window
 * is narrow, each row becomes a block of labelled values, so that nothing has to be scrolled sideways.
 */

import { html, nothing } from './vendor/lit-html.js';
import { repeat } from './vendor/directives/repeat.js';
import { go, href } from './route.js';

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} title
 * @property {(row: Row) => unknown} cell
 * @property {string} [sort] the value of the parameter `sort`; `-` before it turns the order round
 * @property {'number' | 'head' | 'whole' | 'wide'} [kind] `head`: names the row; `whole`: takes a line of its own in a
 *   narrow window; `wide`: left out there
 * @property {string} [label] before the value in a narrow window; default: none
 */

/**
 * @template Row
 * @typedef {object} Table
 * @property {string} caption
 * @property {readonly Column<Row>[]} columns
 * @property {readonly Row[]} rows
 * @property {(row: Row) => string} key
 * @property {boolean} [loading]
 * @property {{ view: string, id?: string | undefined, params: URLSearchParams, standard: string, part?: boolean }} [sorting]
 *   where the links of the titles lead, and the order without a parameter; `part`: only the rows of this page are sorted
 * @property {(row: Row) => string | undefined} [target] where a click on the row leads
 * @property {Disclosure<Row>} [disclosure] what a click on the row opens below it
 */

/**
 * @template Row
 * @typedef {object} Disclosure
 * @property {(row: Row) => boolean} isOpen
 * @property {(row: Row) => string} name of the button that opens it
 * @property {(row: Row, open: boolean) => void} set
 * @property {(row: Row) => unknown} content
 */

/** @template Row @param {Table<Row>} table */
export function table(table) {
  const { caption, columns, rows, key, loading = false, disclosure } = table;
  return html`<div class="scroll" role="region" aria-label=${caption} tabindex="0">
    <table aria-busy=${loading ? 'true' : 'false'}>
      <caption class="visually-hidden">
        ${caption}
      </caption>
      <thead>
        <tr>
          ${disclosure === undefined ? nothing : html`<th scope="col" class="narrow"><span class="visually-hidden">Details</span></th>`}
          ${columns.map((column) => titleCell(column, table))}
        </tr>
      </thead>
      <tbody>
        ${repeat(rows, key, (row) => tableRow(row, table))}
      </tbody>
    </table>
  </div>`;
}

/** @template Row @param {Column<Row>} column @param {Table<Row>} table */
function titleCell({ title, kind, sort }, { sorting }) {
  const shape = kind === 'number' ? 'number' : '';
  if (sort === undefined || sorting === undefined) return html`<th scope="col" class=${shape}>${title}</th>`;
  const { view, id, params, standard, part = false } = sorting;
  const current = params.get('sort') ?? standard;
  const chosen = current === sort ? 'ascending' : current === `-${sort}` ? 'descending' : 'none';
  const { page: _, ...rest } = Object.fromEntries(params);
  // Numbers are first wanted from the largest.
  const first = kind === 'number' ? `-${sort}` : sort;
  const next = current === first ? (first === sort ? `-${sort}` : sort) : first;
  const to = href(view, { ...rest, sort: next === standard ? undefined : next }, id);
  return html`<th scope="col" class="${shape} sortable" aria-sort=${chosen}>
    <a href=${to} title=${`Sort ${part ? 'this page ' : ''}by ${title.toLowerCase()}`}
      >${title}<svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
        <path
          d=${chosen === 'ascending' ? 'M4 10l4-4 4 4' : chosen === 'descending' ? 'M4 6l4 4 4-4' : 'M5 6l3-3 3 3M5 10l3 3 3-3'}
        /></svg
    ></a>
  </th>`;
}

/** @template Row @param {Row} row @param {Table<Row>} table */
function tableRow(row, { columns, key, target, disclosure }) {
  const open = disclosure?.isOpen(row) ?? false;
  const details = `details-${key(row)}`;
  const to = target?.(row);
  const act = disclosure !== undefined ? () => disclosure.set(row, !open) : to === undefined ? undefined : () => go(to);
  return html`<tr
      class="${open ? 'open' : ''} ${act === undefined ? '' : 'whole-row'}"
      @click=${act === undefined ? nothing : onRow(act)}
    >
      ${
        disclosure === undefined
          ? nothing
          : html`<td class="narrow">
              <button
                type="button"
                class="disclosure"
                aria-expanded=${open ? 'true' : 'false'}
                aria-controls=${open ? details : nothing}
                aria-label=${disclosure.name(row)}
                @click=${() => disclosure.set(row, !open)}
                @keydown=${open ? onEscape(() => disclosure.set(row, false)) : nothing}
              >
                <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="M6 4l4 4-4 4" /></svg>
              </button>
            </td>`
      }
      ${columns.map((column) => valueCell(column, row))}
    </tr>
    ${
      open && disclosure !== undefined
        ? html`<tr
            class="details"
            id=${details}
            @keydown=${onEscape((cell) => closeFrom(cell, () => disclosure.set(row, false)))}
          >
            <td colspan=${columns.length + 1}>${disclosure.content(row)}</td>
          </tr>`
        : nothing
    }`;
}

/** @template Row @param {Column<Row>} column @param {Row} row */
function valueCell({ cell, kind, label }, row) {
  const content = cell(row);
  if (kind === 'head') return html`<th scope="row">${content}</th>`;
  return html`<td class=${kind ?? nothing} data-label=${label ?? nothing}>${content}</td>`;
}

/**
 * A click anywhere on a row acts, unless it is on something that acts itself, or ends the selection of a text.
 * @param {() => void} act
 */
function onRow(act) {
  return (/** @type {MouseEvent} */ event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const row = /** @type {HTMLElement} */ (event.currentTarget);
    if (/** @type {Element} */ (event.target).closest('a, button, summary, input, select, label, pre') !== null) return;
    const selection = getSelection();
    if (selection !== null && !selection.isCollapsed && selection.containsNode(row, true)) return;
    act();
  };
}

/** @param {(target: HTMLElement) => void} act */
function onEscape(act) {
  return (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== 'Escape') return;
    event.preventDefault();
    act(/** @type {HTMLElement} */ (event.currentTarget));
  };
}

/** The focus must not vanish with what it was in. @param {HTMLElement} details @param {() => void} close */
function closeFrom(details, close) {
  /** @type {HTMLElement | null | undefined} */ (details.previousElementSibling?.querySelector('.disclosure'))?.focus();
  close();
}
