/** What the page knows: the overview, as it comes by server-sent events, and the lists that a view wants. */

/** @import { Overview } from '../answers.js' */

/**
 * @typedef {object} Slot
 * @property {string} url
 * @property {string} key what the value was loaded for
 * @property {unknown} value
 * @property {string | undefined} error
 * @property {boolean} loading
 * @property {AbortController} controller
 */

const retryMs = 3_000;
const reconnectMs = 10_000;

export class Data {
  /** @type {Overview | undefined} */
  overview;
  /** @type {'connecting' | 'live' | 'lost'} */
  connection = 'connecting';
  /** The server's clock less this one's, in ms. */
  clockOffset = 0;
  /** @type {Map<string, Slot>} */
  #slots = new Map();
  /** @type {() => void} */
  #changed;

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
  }

  /** Follows the cluster for as long as the page is open. */
  connect() {
    const source = new EventSource('console/events');
    source.addEventListener('open', () => {
      this.connection = 'live';
      this.#changed();
    });
    source.addEventListener('overview', (/** @type {MessageEvent<string>} */ event) => {
      /** @type {unknown} */
      const overview = JSON.parse(event.data);
      this.overview = /** @type {Overview} */ (overview);
      this.#changed();
    });
    source.addEventListener('error', () => {
      this.connection = 'lost';
      this.#changed();
      if (source.readyState !== EventSource.CLOSED) return;
      // Refused, which the browser takes as the end.
      setTimeout(() => this.connect(), reconnectMs);
      this.#fetch('console/data/overview', new AbortController().signal).then(
        (value) => {
          this.overview = /** @type {Overview} */ (value);
          this.#changed();
        },
        () => undefined,
      );
    });
  }

  /**
   * What was loaded last from a URL; loads it, and again when `version` is another one. The value of another URL stays
   * until the new one has come.
   * @param {string} name one value is kept for each
   * @param {string} url
   * @param {number} version
   * @returns {{ value: unknown, error: string | undefined, loading: boolean }}
   */
  want(name, url, version) {
    const key = `${url} ${version}`;
    let slot = this.#slots.get(name);
    if (slot === undefined || slot.key !== key) {
      // A page of another list is cancelled; a newer state of the same one waits its turn.
      if (slot?.loading && slot.url === url) return slot;
      slot?.controller.abort();
      slot = { url, key, value: slot?.value, error: undefined, loading: true, controller: new AbortController() };
      this.#slots.set(name, slot);
      void this.#load(name, slot);
    }
    return slot;
  }

  /** @param {string} name @param {Slot} slot */
  async #load(name, slot) {
    try {
      slot.value = await this.#fetch(slot.url, slot.controller.signal);
    } catch (error) {
      if (slot.controller.signal.aborted) return;
      slot.error = error instanceof Error ? error.message : String(error);
      setTimeout(() => {
        if (this.#slots.get(name) !== slot) return;
        this.#slots.delete(name);
        this.#changed();
      }, retryMs);
    }
    slot.loading = false;
    this.#changed();
  }

  /** @param {string} url @param {AbortSignal} signal @returns {Promise<unknown>} */
  async #fetch(url, signal) {
    const response = await fetch(url, { signal, headers: { accept: 'application/json' } });
    const date = Date.parse(response.headers.get('date') ?? '');
    // It has whole seconds; half of one is the middle.
    if (!Number.isNaN(date)) this.clockOffset = date + 500 - Date.now();
    const body = /** @type {unknown} */ (await response.json());
    if (!response.ok) {
      // RFC 9457
      const { detail } = /** @type {{ detail?: string }} */ (body);
      throw new Error(detail ?? `answered with ${response.status}`);
    }
    return body;
  }
}
