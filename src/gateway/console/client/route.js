/**
 * Where the user is: `#/agents?search=prod&page=2`, `#/account/prod-eu`. Each change is an entry of the browser's history,
 * so that links, reloading and Back work.
 */

/**
 * @typedef {object} Route
 * @property {string} view
 * @property {string | undefined} id what follows the view: the account, agent or operation
 * @property {URLSearchParams} params
 */

/** @returns {Route} */
export function currentRoute() {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split(/\?(.*)/s, 2);
  const [view = '', ...rest] = path.split('/');
  return {
    view: view === '' ? 'overview' : view,
    id: rest.length === 0 ? undefined : decoded(rest.join('/')),
    params: new URLSearchParams(query),
  };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    // Somebody typed a percent sign.
    return text;
  }
}

/**
 * @param {string} view
 * @param {Record<string, string | number | undefined>} [params] what is undefined or empty is left out
 * @param {string} [id]
 */
export function href(view, params = {}, id) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== '') query.set(name, String(value));
  }
  const text = query.toString();
  return `#/${view}${id === undefined ? '' : `/${encodeURIComponent(id)}`}${text === '' ? '' : `?${text}`}`;
}

/** @param {string} name */
export const accountHref = (name) => href('account', {}, name);
/** @param {string} id */
export const agentHref = (id) => href('agent', {}, id);
/** @param {string} id */
export const operationHref = (id) => href('operation', {}, id);

/**
 * Changes parameters of where the user is; another filter starts at the first page, and closes what was open.
 * @param {Record<string, string | undefined>} changes
 * @param {string} [typing] the field that is being typed in: its letters make one entry of the history, not many
 */
export function refine(changes, typing) {
  const { view, id, params } = currentRoute();
  const { page: _page, after: _after, open: _open, ...rest } = Object.fromEntries(params);
  go(href(view, { ...rest, ...changes }, id), typing);
}

/** Opens or closes a row of the list that is shown. @param {string} id @param {boolean} open */
export function setOpen(id, open) {
  const { view, id: of, params } = currentRoute();
  const { open: _, ...rest } = Object.fromEntries(params);
  go(href(view, open ? { ...rest, open: id } : rest, of));
}

/** @param {string} to @param {string} [typing] */
export function go(to, typing) {
  if (to === location.hash) return;
  /** @type {unknown} */
  const before = history.state;
  const state = /** @type {{ typing?: string } | null} */ (before);
  if (typing !== undefined && state?.typing === typing) history.replaceState({ typing }, '', to);
  else history.pushState(typing === undefined ? null : { typing }, '', to);
  window.dispatchEvent(new Event('hashchange'));
}

/**
 * A URL of the server with the parameters that the user has set.
 * @param {string} path
 * @param {URLSearchParams} params
 * @param {readonly string[]} names
 */
export function request(path, params, names) {
  const query = new URLSearchParams();
  for (const name of names) {
    const value = params.get(name);
    if (value !== null && value !== '') query.set(name, value);
  }
  const text = query.toString();
  return text === '' ? path : `${path}?${text}`;
}
