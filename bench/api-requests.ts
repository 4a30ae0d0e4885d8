/** What the API server double and the load generator agree on. */

/** POST: 1 KiB each way. */
export const objectsPath = '/api/v1/namespaces/default/configmaps';
/** GET: a list of `listBytes`. */
export const listPath = '/api/v1/pods';
export const listBytes = 200 * 2 ** 20;
/** GET: a watch on which nothing happens. */
export const watchPath = '/api/v1/pods?watch=true';
