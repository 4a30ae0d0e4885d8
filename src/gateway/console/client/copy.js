/** Buttons that copy a text. */

import { html } from './vendor/lit-html.js';

/** How long a button says that it has copied. */
const saidMs = 2_000;

/** @param {string} text @param {string} what "operation id": for those who do not see the button */
export function copyButton(text, what) {
  return html`<button
    type="button"
    class="copy"
    title=${`Copy the ${what}`}
    aria-label=${`Copy the ${what}`}
    @click=${(/** @type {Event} */ event) => copy(text, /** @type {HTMLElement} */ (event.currentTarget))}
  >
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <rect x="5.500" y="5.500" width="8" height="8" rx="1.500" />
      <path d="M10.500 2.500H4A1.500 1.500 0 0 0 2.500 4v6.500" />
    </svg>
  </button>`;
}

/** @param {string} text @param {HTMLElement} button */
async function copy(text, button) {
  const done = await navigator.clipboard?.writeText(text).then(
    () => true,
    () => false,
  );
  const copied = done === true || copySelected(text);
  const live = document.getElementById('said');
  if (live !== null) live.textContent = copied ? 'Copied' : 'The browser does not let the page copy';
  button.dataset.said = copied ? 'Copied' : 'Not allowed';
  setTimeout(() => {
    delete button.dataset.said;
    if (live !== null) live.textContent = '';
  }, saidMs);
}

/** Browsers have no clipboard for pages that came over plain HTTP; this works there. @param {string} text */
function copySelected(text) {
  const area = document.createElement('textarea');
  const before = document.activeElement;
  area.value = text;
  area.className = 'visually-hidden';
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  return copied;
}
