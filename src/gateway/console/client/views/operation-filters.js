/** The filters of the history: the same as those of `GET /armory/agent/operations` and of `agent-gateway ops list`. */

import { html, nothing } from '../vendor/lit-html.js';
import { currentZone, timeOfDay, zoneLabel } from '../format.js';
import { searchField, selectField } from '../parts.js';
import { currentRoute, href, refine, request } from '../route.js';

/** @import { Replica } from '../../answers.js' */

/** Everything that did not complete. */
export const failures = ['failed', 'timed out', 'agent lost', 'refused', 'cancelled'];
const outcomes = ['completed', ...failures];
/** Texts that are compared as a whole. @type {readonly (readonly [name: string, label: string])[]} */
const exact = [
  ['account', 'Account'],
  ['type', 'Type'],
  ['kind', 'Kind'],
  ['namespace', 'Namespace'],
  ['name', 'Name'],
  ['caller', 'Caller'],
  ['agent', 'Agent'],
];
const sent = ['account', 'search', 'type', 'kind', 'namespace', 'name', 'caller', 'agent', 'replica', 'after'];
const minute = 60_000;
/** @type {Readonly<Record<string, readonly [text: string, ms: number]>>} */
const ranges = {
  '15m': ['Last 15 min', 15 * minute],
  '1h': ['Last hour', 60 * minute],
  '24h': ['Last 24 hours', 24 * 60 * minute],
};

/** What to ask the server for. @param {URLSearchParams} params of the page's address @param {number} now Unix ms */
export function operationRequest(params, now) {
  const url = request('console/data/operations', params, sent);
  const more = new URLSearchParams();
  const outcome = params.get('outcome') ?? '';
  for (const one of outcome === 'failures' ? failures : outcome.split(',')) if (one !== '') more.append('outcome', one);
  const range = ranges[params.get('range') ?? ''];
  // In whole minutes, so that the same question has the same address for a while.
  const start =
    range === undefined ? params.get('since') : new Date(Math.floor((now - range[1]) / minute) * minute).toISOString();
  const end = range === undefined ? params.get('until') : null;
  if (start !== null && start !== '') more.set('since', start);
  if (end !== null && end !== '') more.set('until', end);
  const text = more.toString();
  return text === '' ? url : `${url}${url.includes('?') ? '&' : '?'}${text}`;
}

/**
 * @param {URLSearchParams} params @param {readonly Replica[]} replicas
 * @param {boolean} [ofAccount] the account is given, and cannot be changed
 */
export function operationFilters(params, replicas, ofAccount = false) {
  const texts = exact.filter(([name]) => !(ofAccount && name === 'account'));
  const outcome = params.get('outcome') ?? '';
  return html`<form class="filters" role="search" @submit=${(/** @type {Event} */ event) => event.preventDefault()}>
    ${searchField('Search', 'search', params, 'Part of a name, account or error')}
    ${selectField('Outcome', 'outcome', params, [
      ['', 'All'],
      ['failures', 'Failures: all that did not complete'],
      ['pending', 'in flight'],
      ...outcomes.map((one) => /** @type {const} */ ([one, one])),
      ...(outcome.includes(',') ? [/** @type {const} */ ([outcome, outcome.replaceAll(',', ', ')])] : []),
    ])}
    ${selectField('Started', 'range', params, [
      ['', params.has('since') || params.has('until') ? 'Between two times' : 'At any time'],
      ...Object.entries(ranges).map(([value, [text]]) => /** @type {const} */ ([value, text])),
    ])}
    <details class="more">
      <summary class="button">More filters</summary>
      <div class="filters">
        ${texts.map(([name, label]) => searchField(label, name, params))}
        ${selectField('Replica', 'replica', params, [['', 'All'], ...replicas.map(({ id }) => /** @type {const} */ ([id, id]))])}
        ${timeField('Started at or after', 'since', params)} ${timeField('Started before', 'until', params)}
        <fieldset class="choices">
          <legend>Outcomes</legend>
          ${outcomes.map((one) => outcomeBox(one, outcome))}
        </fieldset>
      </div>
    </details>
    ${chosen(params, texts)}
  </form>`;
}

/** Several may be chosen. @param {string} one @param {string} all as the address has it */
function outcomeBox(one, all) {
  const list = all === 'failures' ? failures : all.split(',').filter((text) => text !== '');
  const change = (/** @type {Event} */ event) => {
    const { checked } = /** @type {HTMLInputElement} */ (event.target);
    const wanted = outcomes.filter((text) => (text === one ? checked : list.includes(text)));
    refine({ outcome: wanted.join(',') });
  };
  return html`<label><input type="checkbox" .checked=${list.includes(one)} @change=${change} /> ${one}</label>`;
}

/** In the time zone of the page; the address has ISO 8601. @param {string} label @param {string} name @param {URLSearchParams} params */
function timeField(label, name, params) {
  const change = (/** @type {Event} */ event) => {
    const { value } = /** @type {HTMLInputElement} */ (event.target);
    const date = new Date(currentZone() === 'utc' ? `${value}Z` : value);
    refine({ [name]: Number.isNaN(date.getTime()) ? undefined : date.toISOString(), range: undefined });
  };
  return html`<label class="field">
    <span>${label}, ${zoneLabel()}</span>
    <input type="datetime-local" name=${name} step="1" .value=${inZone(params.get(name))} @change=${change} />
  </label>`;
}

/** As the browser's field wants it: "2026-11-29T18:03:12". @param {string | null} iso */
function inZone(iso) {
  const date = new Date(iso ?? '');
  if (Number.isNaN(date.getTime())) return '';
  const shift = currentZone() === 'utc' ? 0 : date.getTimezoneOffset() * minute;
  return new Date(date.getTime() - shift).toISOString().slice(0, 19);
}

/** Filters that are set but not on view, each with a link that takes it away. @param {URLSearchParams} params @param {typeof exact} texts */
function chosen(params, texts) {
  const all = [...texts, /** @type {const} */ (['replica', 'Replica'])];
  const named = [
    ...all.map(([name, label]) => ({ name, label, text: params.get(name) ?? '' })),
    ...['since', 'until'].map((name) => ({ name, label: name, text: moment(params.get(name)) })),
  ].filter(({ text }) => text !== '');
  if (named.length === 0) return nothing;
  const { view, id } = currentRoute();
  return html`<p class="chosen">
    ${named.map(({ name, label, text }) => {
      const { [name]: _, after: _after, open: _open, ...rest } = Object.fromEntries(params);
      return html`<a class="chip" href=${href(view, rest, id)} aria-label=${`Remove the filter ${label} ${text}`}
        >${label} <span class="id">${text}</span> <span aria-hidden="true">×</span></a
      > `;
    })}
  </p>`;
}

/** @param {string | null} iso */
function moment(iso) {
  return iso === null || Number.isNaN(Date.parse(iso)) ? '' : timeOfDay(iso);
}
