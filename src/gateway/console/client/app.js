/** The page: which view is shown, and drawing it anew when something has changed. */

import { html, nothing, render } from './vendor/lit-html.js';
import { Data } from './data.js';
import { connectionState, lostNotice, problems, signIn, summary, themeSwitch, zoneSwitch } from './frame.js';
import { currentRoute, href } from './route.js';
import { accountView } from './views/account.js';
import { accountsView } from './views/accounts.js';
import { agentView } from './views/agent.js';
import { agentsView } from './views/agents.js';
import { dynamicView } from './views/dynamic-accounts.js';
import { operationView } from './views/operation.js';
import { operationsView } from './views/operations.js';
import { overviewView } from './views/overview.js';

/** @import { Overview } from '../answers.js' */
/**
 * @typedef {object} Shown
 * @property {Data} data
 * @property {Overview} overview
 * @property {URLSearchParams} params of the page's address
 * @property {string | undefined} id of the account, agent or operation that the address names
 * @property {number} now Unix ms, by the server's clock
 */
/** @typedef {(shown: Shown) => unknown} View */
/**
 * @typedef {object} Page
 * @property {string} title
 * @property {View} view
 * @property {string} [under] the view of which it shows one item; the address has its id
 */

/** @type {ReadonlyMap<string, Page>} */
const pages = new Map([
  ['overview', { title: 'Overview', view: overviewView }],
  ['agents', { title: 'Agents', view: agentsView }],
  ['accounts', { title: 'Accounts', view: accountsView }],
  ['operations', { title: 'Operations', view: operationsView }],
  ['dynamic', { title: 'Dynamic accounts', view: dynamicView }],
  ['agent', { title: 'Agent', view: agentView, under: 'agents' }],
  ['account', { title: 'Account', view: accountView, under: 'accounts' }],
  ['operation', { title: 'Operation', view: operationView, under: 'operations' }],
]);

const data = new Data(changed);
let drawing = false;
let shownPage = '';

function changed() {
  if (drawing) return;
  drawing = true;
  queueMicrotask(() => {
    drawing = false;
    draw();
  });
}

function draw() {
  const { view: name, id, params } = currentRoute();
  const found = pages.get(name);
  // Only what shows one item has an id.
  const page = (found?.under === undefined) === (id === undefined) && id !== '' ? found : undefined;
  const title = page === undefined ? 'Unknown address' : id === undefined ? page.title : `${page.title} ${id}`;
  const { overview } = data;
  document.title = `${title} · Agent Gateway`;
  const content = () => {
    if (page === undefined) return unknownAddress();
    if (overview === undefined) return html`<p class="empty">Reading the state of the cluster …</p>`;
    const shown = { data, overview, params, id, now: Date.now() + data.clockOffset };
    return html`${problems(overview)}${page.view(shown)}`;
  };
  const lost = data.connection === 'lost' && overview !== undefined;
  render(
    html`
      <a class="skip" href="#main" @click=${toMain}>Skip to content</a>
      <header class=${lost ? 'stale' : ''}>
        <div class="top">
          <span class="brand"><img src="console/icon.svg" alt="" width="20" height="20" />Agent Gateway</span>
          <nav aria-label="Views">
            ${[...pages].map(([view, { title: text, under }]) =>
              under === undefined
                ? html`<a href=${href(view)} aria-current=${view === name || page?.under === view ? 'page' : nothing}
                    >${text.replace(' accounts', '')}${text.endsWith(' accounts') ? html`<span class="more-words"> accounts</span>` : nothing}</a
                  >`
                : nothing,
            )}
          </nav>
          <div class="status">
            <span role="status">${connectionState(data)}</span>
            ${zoneSwitch(changed)}${themeSwitch(changed)}
          </div>
        </div>
        ${overview === undefined || data.refused !== undefined ? nothing : summary(overview)}
      </header>
      <main id="main" tabindex="-1" class=${lost ? 'stale' : ''}>
        <h1 class="visually-hidden">${title}</h1>
        ${lost ? lostNotice(data) : nothing} ${data.refused === undefined ? content() : signIn(data, data.refused)}
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
      <div id="said" class="visually-hidden" role="status"></div>
    `,
    document.body,
  );
  // A new view is a new page: whoever reads it with a screen reader or the keyboard starts at its top.
  if (shownPage !== '' && shownPage !== title) document.getElementById('main')?.focus({ preventScroll: true });
  if (shownPage !== title) window.scrollTo(0, 0);
  shownPage = title;
}

function unknownAddress() {
  return html`<div class="empty" role="status">
    <p>There is no page at <span class="id">${location.hash}</span>.</p>
    <p><a href=${href('overview')}>Go to the overview</a></p>
  </div>`;
}

/** The address has the view's name where a fragment would be. @param {Event} event */
function toMain(event) {
  event.preventDefault();
  document.getElementById('main')?.focus();
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
