/** Parts that several views are made of. */

import { html, nothing, svg } from './vendor/lit-html.js';
import { age, count, fullTime, timeOfDay } from './format.js';
import { accountHref, agentHref, href, refine } from './route.js';

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

/** Everything else did not complete. @type {Readonly<Record<string, Tone>>} */
const outcomeTones = { completed: 'ok', cancelled: 'off' };

/** @param {string | undefined} outcome absent: it has not ended */
export function outcomeBadge(outcome) {
  return outcome === undefined ? badge('busy', 'in flight') : badge(outcomeTones[outcome] ?? 'bad', outcome);
}

/** @param {string} iso */
export function time(iso) {
  return html`<time datetime=${iso} title=${fullTime(iso)}>${timeOfDay(iso)}</time>`;
}

/** "18:03:12 (4 min)". @param {string} iso @param {number} now Unix ms */
export function since(iso, now) {
  return html`<time datetime=${iso} title=${fullTime(iso)}>${timeOfDay(iso)}</time>
    <span class="quiet">(${age(now - Date.parse(iso))})</span>`;
}

/** How long ago. @param {string} iso @param {number} now Unix ms */
export function ago(iso, now) {
  return html`<time datetime=${iso} title=${fullTime(iso)}>${age(now - Date.parse(iso))}</time>`;
}

/** @param {string} name */
export function accountLink(name) {
  return html`<a class="id" href=${accountHref(name)}>${name}</a>`;
}

/** @param {string} id */
export function agentLink(id) {
  return html`<a class="id" href=${agentHref(id)}>${id}</a>`;
}

/** A bar that says how much of the most something is; the number stands beside it. @param {number} part 0 to 1 */
export function bar(part) {
  const width = `${Math.max(0, Math.min(1, part)) * 100}%`;
  return html`<svg class="bar" aria-hidden="true">
    <rect class="track" width="100%" height="100%" rx="3" />
    <rect class="fill" width=${width} height="100%" rx="3" />
  </svg>`;
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

/** @param {string} title @param {unknown} value */
export function fact(title, value) {
  return html`<div>
    <dt>${title}</dt>
    <dd>${value}</dd>
  </div>`;
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
        typing = setTimeout(() => refine({ [name]: value }, name), 200);
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
      ${options.map(([value, text]) => html`<option value=${value} .selected=${value === chosen}>${text}</option>`)}
    </select>
  </label>`;
}

/**
 * @param {string} view @param {URLSearchParams} params
 * @param {{ page: number, pages?: number, more?: boolean }} position
 * @param {string} [id]
 */
export function pager(view, params, { page, pages, more = pages !== undefined && page + 1 < pages }, id) {
  if (page === 0 && !more) return nothing;
  const { open: _, ...rest } = Object.fromEntries(params);
  const to = (/** @type {number} */ number) => href(view, { ...rest, page: number === 0 ? undefined : number }, id);
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
