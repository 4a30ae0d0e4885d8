/** What is around every view: the connection, the summary, the problems, the switches, and the form to sign in. */

import { html, nothing } from './vendor/lit-html.js';
import { age, count, currentZone, localZoneName, setZone, timeOfDay, zoneLabel } from './format.js';
import { badge } from './parts.js';
import { href } from './route.js';

/** @import { Overview } from '../answers.js' */
/** @import { Data } from './data.js' */
/** @import { Zone } from './format.js' */

/** @param {Data} data */
export function connectionState({ connection }) {
  if (connection === 'live') return badge('ok', 'live');
  if (connection === 'connecting') return badge('busy', 'connecting');
  return connection === 'refused' ? badge('warn', 'not signed in') : badge('bad', 'connection lost');
}

/** What is shown is of the past, and from when. @param {Data} data */
export function lostNotice({ confirmed, clockOffset }) {
  const now = Date.now() + clockOffset;
  return html`<p class="notice bad" role="alert">
    ${badge('bad', 'Connection lost')}
    <span
      >This replica does not answer; trying again.
      ${confirmed === undefined ? nothing : `Everything below is as of ${timeOfDay(confirmed)} ${zoneLabel()}, ${age(now - confirmed)} ago.`}</span
    >
  </p>`;
}

/**
 * @param {Data} data
 * @param {{ status: number, reason: string }} refused
 */
export function signIn(data, { status, reason }) {
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const token = new FormData(/** @type {HTMLFormElement} */ (event.target)).get('token');
    if (typeof token === 'string') data.signIn(token.trim());
  };
  return html`<form class="sign-in card" @submit=${submit}>
    <h2>Sign in</h2>
    <p>
      ${status === 403 ? 'These credentials do not allow you to see the console.' : 'The console needs a token of a caller with the role read.'}
    </p>
    <p class="notice warn" role="alert">
      ${badge('warn', status === 403 ? 'Not allowed' : 'Needs a token')} <span>${reason}</span>
    </p>
    <label class="field"><span>Token</span> <input name="token" type="password" autocomplete="off" required /></label>
    <button type="submit" class="button primary">Sign in</button>
    <p class="quiet">It is kept in this tab only, until you close it.</p>
  </form>`;
}

/** @param {Overview} overview */
export function summary({ agents, pending, dynamic, attention, unread }) {
  /** @param {string} part @param {number} number */
  const read = (part, number) => (unread.includes(part) ? '…' : count(number));
  const { instances } = attention;
  const gone = { agents: attention.agents.missing, accounts: attention.accounts.offline };
  const byStatus = dynamic.enabled ? dynamic.byStatus : {};
  const troubled = (byStatus['FAILED'] ?? 0) + (byStatus['DELETE_FAILED'] ?? 0) + (byStatus['ORPHANED'] ?? 0);
  const accounts = Object.values(byStatus).reduce((sum, number) => sum + number, 0);
  return html`<ul class="summary" aria-label="Summary">
    ${figure('overview', {}, 'Replicas ready', `${read('instances', instances.ready)} of ${count(instances.expected)}`, instances.ready < instances.expected && 'bad')}
    ${figure('agents', gone.agents > 0 ? { state: 'offline' } : {}, 'Agents', read('agents', agents.count), gone.agents > 0 && 'bad', offline(gone.agents))}
    ${figure('accounts', gone.accounts > 0 ? { state: 'offline' } : {}, 'Accounts', read('agents', agents.accounts), gone.accounts > 0 && 'bad', offline(gone.accounts))}
    ${figure('accounts', { cached: 'false' }, 'Not cached', read('agents', agents.uncachedAccounts), agents.uncachedAccounts > 0 && 'warn')}
    ${figure('operations', { outcome: 'pending' }, 'In flight', `${read('operations', pending.count)}${pending.more ? '+' : ''}`)}
    ${
      dynamic.enabled
        ? figure('dynamic', {}, 'Dynamic in trouble', `${count(troubled)} of ${count(accounts)}`, troubled > 0 && 'bad')
        : figure('dynamic', {}, 'Dynamic accounts', 'off')
    }
  </ul>`;
}

/** @param {number} number */
function offline(number) {
  return number === 0 ? undefined : `${count(number)} offline`;
}

/** @param {string} view @param {Record<string, string>} params @param {string} label @param {string} value @param {false | 'warn' | 'bad'} [alarm] @param {string} [note] */
function figure(view, params, label, value, alarm = false, note) {
  return html`<li>
    <a href=${href(view, params)} class=${alarm || nothing}
      ><span class="label">${label}</span
      ><span class="value"
        >${value}${alarm ? html`<svg class="icon" viewBox="0 0 16 16" role="img" aria-label="needs attention"><path d="M8 3.500V9M8 12v.5" /></svg>` : nothing}${note === undefined ? nothing : html`<span class="note">${note}</span>`}</span
      ></a
    >
  </li>`;
}

/** What the part about attention has problems of. */
const ofAttention = ['replicas', 'agents', 'offline'];

/** @param {Overview} overview */
export function problems({ problems: list, attention, discovery, truncated, unread }) {
  const parts = list.filter(({ section }) => !ofAttention.includes(section));
  const all = [
    ...attention.problems,
    ...parts.map(({ section, error, lastRead }) => ({ part: section, error, lastRead })),
  ];
  return html`
    ${unread.length === 0 ? nothing : html`<p class="notice" role="status">${badge('busy', 'Reading')} <span>Not read yet: ${unread.join(', ')}.</span></p>`}
    ${all.map(
      ({ part, error, lastRead }) =>
        html`<p class="notice bad" role="alert">
          ${badge('bad', 'Out of date')}
          <span
            >${part}: ${error}.
            ${lastRead === undefined ? 'Not read yet.' : `Shown as read at ${timeOfDay(lastRead)} ${zoneLabel()}.`}</span
          >
        </p>`,
    )}
    ${
      discovery.known
        ? nothing
        : html`<p class="notice warn" role="alert">
            ${badge('warn', 'Members uncertain')}
            <span>${discovery.error ?? 'discovery cannot be followed'}; the replicas are the last known ones.</span>
          </p>`
    }
    ${
      truncated
        ? html`<p class="notice warn">
            ${badge('warn', 'Incomplete')} <span>There is more than the console reads; the REST API has all.</span>
          </p>`
        : nothing
    }
  `;
}

/** @param {() => void} changed */
export function zoneSwitch(changed) {
  const options = /** @type {const} */ ([
    ['local', 'Local'],
    ['utc', 'UTC'],
  ]);
  const set = (/** @type {Event} */ event) => {
    setZone(/** @type {Zone} */ (/** @type {HTMLSelectElement} */ (event.target).value));
    changed();
  };
  return html`<label class="switch"
    ><span>Times in ${zoneLabel()}</span>
    <select name="zone" aria-label="Time zone" title=${`Local: ${localZoneName()}`} @change=${set}>
      ${options.map(([zone, text]) => html`<option value=${zone} .selected=${zone === currentZone()}>${text}</option>`)}
    </select></label
  >`;
}

/** @param {() => void} changed */
export function themeSwitch(changed) {
  const current = document.documentElement.dataset.theme ?? 'system';
  const set = (/** @type {Event} */ event) => {
    setTheme(/** @type {HTMLSelectElement} */ (event.target).value);
    changed();
  };
  return html`<label class="switch"
    ><span class="visually-hidden">Colours</span>
    <select name="theme" aria-label="Colours" @change=${set}>
      ${['system', 'light', 'dark'].map((theme) => html`<option value=${theme} .selected=${theme === current}>${theme}</option>`)}
    </select></label
  >`;
}

/** @param {string} theme */
function setTheme(theme) {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem('theme', theme);
  } catch {
    // Storage is off: until the page is closed.
  }
}
