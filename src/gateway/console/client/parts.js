/** Parts that several views are made of. */

import { html, nothing, svg } from './vendor/lit-html.js';
import { count, timeOfDay } from './format.js';
import { href, refine } from './route.js';

/** @typedef {'ok' | 'bad' | 'warn' | 'busy' | 'off'} Tone */

const shapes = {
  ok: svg`<path d="M3.500 8.500 6.500 11.500 12.500 4.500" />`,
  bad: svg`<path d="M4.500 4.500 11.500 11.500M11.500 4.500 4.500 11.500" />`,
  warn: svg`<path d="M8 3.500V9M8 12v.5" />`,
  busy: svg`<path d="M8 3.500v4.500l3 2" /><circle cx="8" cy="8" r="6" />`,
  off: svg`<path d="M4 8h8" />`,
};

/** A state by colour, shape and word. @param {Tone} tone @param {unknown} text */
export function badge(tone, text) {
  return html`<span class="badge ${tone}"
    ><svg class="icon" viewBox="0 0 16 16" aria-hidden="true">${shapes[tone]}</svg>${text}</span
  >`;
}

/** @type {Readonly<Record<string, Tone>>} */
const outcomeTones = { completed: 'ok', failed: 'bad', 'timed out': 'bad', 'agent lost': 'bad', cancelled: 'off' };

/** @param {string | undefined} outcome */
export function outcomeBadge(outcome) {
  return outcome === undefined ? badge('busy', 'in flight') : badge(outcomeTones[outcome] ?? 'off', outcome);
}

/** @param {string} iso */
export function time(iso) {
  return html`<time datetime=${iso} title=${iso}>${timeOfDay(iso)}</time>`;
}

/** A bar that says how much of the most something is; the number stands beside it. @param {number} part 0 to 1 */
export function bar(part) {
  const width = `${Math.max(0, Math.min(1, part)) * 100}%`;
  return html`<svg class="bar" aria-hidden="true">
    <rect class="track" width="100%" height="100%" rx="3" />
    <rect class="fill" width=${width} height="100%" rx="3" />
  </svg>`;
}

/**
 * A table that scrolls by itself where the window is too narrow.
 * @param {string} caption
 * @param {readonly (string | { title: string, kind: 'number' | 'hidden' })[]} columns
 * @param {unknown} rows
 * @param {boolean} [loading]
 */
export function table(caption, columns, rows, loading = false) {
  return html`<div class="scroll" role="region" aria-label=${caption} tabindex="0">
    <table aria-busy=${loading ? 'true' : 'false'}>
      <caption class="visually-hidden">
        ${caption}
      </caption>
      <thead>
        <tr>
          ${columns.map((column) =>
            typeof column === 'string'
              ? html`<th scope="col">${column}</th>`
              : column.kind === 'number'
                ? html`<th scope="col" class="number">${column.title}</th>`
                : html`<th scope="col" class="narrow"><span class="visually-hidden">${column.title}</span></th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
}

/** In place of a table without rows. @param {unknown} text @param {unknown} [more] */
export function empty(text, more = nothing) {
  return html`<div class="empty">
    <p>${text}</p>
    ${more}
  </div>`;
}

/** @param {string | undefined} error */
export function failure(error) {
  return error === undefined
    ? nothing
    : html`<p class="notice bad" role="alert">${badge('bad', 'Not loaded')} ${error}; retrying.</p>`;
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let typing;

/**
 * A field whose text is a parameter of the page's address.
 * @param {string} label @param {string} name @param {URLSearchParams} params @param {string} [placeholder]
 */
export function searchField(label, name, params, placeholder = '') {
  return html`<label class="field grow">
    <span>${label}</span>
    <input
      type="search"
      name=${name}
      maxlength="255"
      autocomplete="off"
      spellcheck="false"
      placeholder=${placeholder}
      .value=${params.get(name) ?? ''}
      @input=${(/** @type {InputEvent} */ event) => {
        const { value } = /** @type {HTMLInputElement} */ (event.target);
        clearTimeout(typing);
        typing = setTimeout(() => refine({ [name]: value }), 200);
      }}
    />
  </label>`;
}

/**
 * @param {string} label @param {string} name @param {URLSearchParams} params
 * @param {readonly (readonly [value: string, text: string])[]} options the first one is "no filter", with the value ''
 */
export function selectField(label, name, params, options) {
  const chosen = params.get(name) ?? '';
  return html`<label class="field">
    <span>${label}</span>
    <select
      name=${name}
      @change=${(/** @type {Event} */ event) =>
        refine({ [name]: /** @type {HTMLSelectElement} */ (event.target).value })}
    >
      ${options.map(([value, text]) => html`<option value=${value} ?selected=${value === chosen}>${text}</option>`)}
    </select>
  </label>`;
}

/**
 * @param {string} view @param {URLSearchParams} params
 * @param {{ page: number, pages?: number, more?: boolean }} position
 */
export function pager(view, params, { page, pages, more = pages !== undefined && page + 1 < pages }) {
  if (page === 0 && !more) return nothing;
  const to = (/** @type {number} */ number) =>
    href(view, { ...Object.fromEntries(params), page: number === 0 ? undefined : number });
  const link = (/** @type {boolean} */ there, /** @type {number} */ number, /** @type {string} */ text) =>
    there
      ? html`<a class="button" href=${to(number)}>${text}</a>`
      : html`<span class="button" aria-disabled="true">${text}</span>`;
  return html`<nav class="pager" aria-label="Pages">
    ${link(page > 0, page - 1, 'Previous')}
    <span>Page ${count(page + 1)}${pages === undefined ? nothing : html` of ${count(pages)}`}</span>
    ${link(more, page + 1, 'Next')}
  </nav>`;
}
