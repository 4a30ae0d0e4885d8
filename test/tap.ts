/**
 * What test files get as `tap` (tsconfig.json, `paths`): tap itself, but a file that is run by itself has the time that
 * `npm test` gives it, and not tap's 30 s.
 */

import './file-timeout.js';

export * from '../node_modules/tap/dist/esm/index.js';
