/** The page: its frame, which view is shown, and drawing it anew when something has changed. */

import { html, nothing, render } from './vendor/lit-html.js';
import { Data } from './data.js';
import { count, timeOfDay } from './format.js';
import { badge } from './parts.js';
import { currentRoute, href } from './route.js';
import { accountsView } from './views/accounts.js';
import { agentsView } from './views/agents.js';
import { dynamicView } from './views/dynamic-accounts.js';
import { operationsView } from './views/operations.js';
import { overviewView } from './views/overview.js';

/** @import { Overview } from '../answers.js' */
/**
 * @typedef {object} Shown
 * @property {Data} data
 * @property {Overview} overview
 * @property {URLSearchParams} params of the page's address
 * @property {number} now Unix ms, by the server's clock
 */
/** @typedef {(shown: Shown) => unknown} View */

/** @type {ReadonlyMap<string, { title: string, view: View }>} */
const views = new Map([
  ['overview', { title: 'Overview', view: overviewView }],
  ['agents', { title: 'Agents', view: agentsView }],
  ['accounts', { title: 'Accounts', view: accountsView }],
  ['operations', { title: 'Operations', view: operationsView }],
  ['dynamic', { title: 'Dynamic accounts', view: dynamicView }],
]);

const data = new Data(changed);
let drawing = false;
let shownView = '';

function changed() {
  if (drawing) return;
  drawing = true;
  queueMicrotask(() => {
    drawing = false;
    draw();
  });
}

function draw() {
  const { view: name, params } = currentRoute();
  const { title, view } = views.get(name) ?? /** @type {{ title: string, view: View }} */ (views.get('overview'));
  const { overview } = data;
  document.title = `${title} · Agent Gateway`;
  render(
    html`
      <a class="skip" href="#main" @click=${toMain}>Skip to content</a>
      <header>
        <div class="top">
          <span class="brand"><img src="console/icon.svg" alt="" width="20" height="20" />Agent Gateway</span>
          <nav aria-label="Views">
            ${[...views].map(
              ([id, { title: text }]) =>
                html`<a href=${href(id)} aria-current=${text === title ? 'page' : nothing}>${text}</a>`,
            )}
          </nav>
          <div class="status">
            <span role="status">${connection()}</span>
            ${themeSwitch()}
          </div>
        </div>
        ${overview === undefined ? nothing : summary(overview)}
      </header>
      <main id="main" tabindex="-1">
        <h1 class="visually-hidden">${title}</h1>
        ${
          data.refused !== undefined
            ? signIn(data.refused)
            : overview === undefined
              ? html`<p class="empty">Reading the state of the cluster …</p>`
              : html`${problems(overview)}${view({ data, overview, params, now: Date.now() + data.clockOffset })}`
        }
      </main>
      ${
        overview === undefined
          ? nothing
          : html`<footer>
              <span>Answered by <span class="id">${overview.instanceId}</span>, version ${overview.version}</span>
              <a href="docs">REST API</a>
              <a href="metrics">Metrics</a>
            </footer>`
      }
    `,
    document.body,
  );
  // A new view is a new page: whoever reads it with a screen reader or the keyboard starts at its top.
  if (shownView !== '' && shownView !== title) document.getElementById('main')?.focus({ preventScroll: true });
  if (shownView !== title) window.scrollTo(0, 0);
  shownView = title;
}

/** @param {string} reason */
function signIn(reason) {
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const token = new FormData(/** @type {HTMLFormElement} */ (event.target)).get('token');
    if (typeof token === 'string') data.signIn(token.trim());
  };
  return html`<form class="sign-in" @submit=${submit}>
    <p role="alert">${badge('bad', 'Access denied')} ${reason}.</p>
    <label>Token <input name="token" type="password" autocomplete="off" required /></label>
    <button type="submit">Sign in</button>
    <p>The token is kept in this tab only.</p>
  </form>`;
}

/** The address has the view's name where a fragment would be. @param {Event} event */
function toMain(event) {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function connection() {
  if (data.connection === 'live') return badge('ok', 'live');
  return data.connection === 'connecting' ? badge('busy', 'connecting') : badge('bad', 'connection lost');
}

/** @param {Overview} overview */
function summary({ replicas, agents, pending, dynamic }) {
  const ready = replicas.filter((replica) => replica.ready).length;
  const byStatus = dynamic.enabled ? dynamic.byStatus : {};
  const troubled = (byStatus['FAILED'] ?? 0) + (byStatus['DELETE_FAILED'] ?? 0) + (byStatus['ORPHANED'] ?? 0);
  const accounts = Object.values(byStatus).reduce((sum, number) => sum + number, 0);
  return html`<ul class="summary" aria-label="Summary">
    ${figure('overview', {}, 'Replicas ready', `${count(ready)} of ${count(replicas.length)}`, ready < replicas.length && 'bad')}
    ${figure('agents', {}, 'Agents', count(agents.count))} ${figure('accounts', {}, 'Accounts', count(agents.accounts))}
    ${figure('accounts', { cached: 'false' }, 'Not cached', count(agents.uncachedAccounts), agents.uncachedAccounts > 0 && 'warn')}
    ${figure('operations', { outcome: 'pending' }, 'In flight', `${count(pending.count)}${pending.more ? '+' : ''}`)}
    ${
      dynamic.enabled
        ? figure('dynamic', {}, 'Dynamic in trouble', `${count(troubled)} of ${count(accounts)}`, troubled > 0 && 'bad')
        : figure('dynamic', {}, 'Dynamic accounts', 'off')
    }
  </ul>`;
}

/** @param {string} view @param {Record<string, string>} params @param {string} label @param {string} value @param {false | 'warn' | 'bad'} [alarm] */
function figure(view, params, label, value, alarm = false) {
  return html`<li>
    <a href=${href(view, params)} class=${alarm || nothing}
      ><span class="label">${label}</span
      ><span class="value"
        >${value}${alarm ? html`<svg class="icon" viewBox="0 0 16 16" role="img" aria-label="needs attention"><path d="M8 3.500V9M8 12v.5" /></svg>` : nothing}</span
      ></a
    >
  </li>`;
}

/** @param {Overview} overview */
function problems({ problems: list, discovery, truncated }) {
  return html`
    ${list.map(
      ({ section, error, lastRead }) =>
        html`<p class="notice bad" role="alert">
          ${badge('bad', 'Out of date')} ${section}: ${error}.
          ${lastRead === undefined ? nothing : `Shown as read at ${timeOfDay(new Date(lastRead).toISOString())}.`}
        </p>`,
    )}
    ${
      discovery.known
        ? nothing
        : html`<p class="notice warn" role="alert">
            ${badge('warn', 'Members uncertain')} ${discovery.error ?? 'discovery cannot be followed'}; the replicas are
            the last known ones.
          </p>`
    }
    ${
      truncated
        ? html`<p class="notice warn">
            ${badge('warn', 'Incomplete')} There is more than the console reads; the REST API has all.
          </p>`
        : nothing
    }
  `;
}

function themeSwitch() {
  const current = document.documentElement.dataset.theme ?? 'system';
  return html`<label class="theme"
    ><span class="visually-hidden">Colours</span>
    <select @change=${(/** @type {Event} */ event) => setTheme(/** @type {HTMLSelectElement} */ (event.target).value)}>
      ${['system', 'light', 'dark'].map(
        (theme) => html`<option value=${theme} ?selected=${theme === current}>${theme}</option>`,
      )}
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
  changed();
}

/** Ages and durations grow; a page that nobody sees need not be drawn. */
const ageMs = 5_000;
setInterval(() => {
  if (document.visibilityState === 'visible') changed();
}, ageMs);

window.addEventListener('hashchange', changed);
document.addEventListener('keydown', (event) => {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = /** @type {HTMLInputElement | null} */ (document.querySelector('input[type=search]'));
  if (field === null) return;
  event.preventDefault();
  field.focus();
});
void data.connect();
changed();
