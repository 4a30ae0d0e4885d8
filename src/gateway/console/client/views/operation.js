/** One operation at an address of its own, whether it is in a list or not. */

import { html, nothing } from '../vendor/lit-html.js';
import { href } from '../route.js';
import { timeline } from './timeline.js';

/** @import { OperationRow } from '../../answers.js' */
/** @import { View } from '../app.js' */

/** @type {View} */
export function operationView({ data, overview, id = '', now }) {
  const { value, error } = /** @type {{ value?: OperationRow, error?: string }} */ (
    data.want('operation', `armory/agent/operations/${encodeURIComponent(id)}`, overview.versions.operations)
  );
  return html`
    <p class="trail"><a href=${href('operations')}>Operations</a></p>
    ${error === undefined ? nothing : html`<p class="notice" role="status">${error}</p>`}
    ${
      value === undefined || value.operationId !== id || error !== undefined
        ? nothing
        : html`<section class="card" aria-label=${`Operation ${id}`}>${timeline(value, now)}</section>`
    }
  `;
}
