/** Where the user is: `#/agents?search=prod&page=2`, so that links, reloading and the back button work. */

/** @typedef {{ view: string, params: URLSearchParams }} Route */

/** @returns {Route} */
export function currentRoute() {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?', 2);
  return { view: path === '' ? 'overview' : path, params: new URLSearchParams(query) };
}

/**
 * @param {string} view
 * @param {Record<string, string | number | undefined>} [params] what is undefined or empty is left out
 */
export function href(view, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== '') query.set(name, String(value));
  }
  const text = query.toString();
  return `#/${view}${text === '' ? '' : `?${text}`}`;
}

/**
 * Changes parameters of where the user is; another filter starts at the first page.
 * @param {Record<string, string | undefined>} changes
 */
export function refine(changes) {
  const { view, params } = currentRoute();
  const { page: _, ...rest } = Object.fromEntries(params);
  history.replaceState(null, '', href(view, { ...rest, ...changes }));
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
