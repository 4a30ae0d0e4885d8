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
const resumeMs = 2_000;
/** Without a token nothing will change, unless somebody changes the gateway's settings. */
const refusedMs = 60_000;
/** The replica sends something every 15 s, so this long a silence means that it or the network is gone. */
const silentMs = 35_000;
/** Lists that are kept; the page of a view needs a few. */
const maxSlots = 16;

/** '' for none. */
function storedToken() {
  try {
    return sessionStorage.getItem('token') ?? '';
  } catch {
    return '';
  }
}

export class Data {
  /** @type {Overview | undefined} */
  overview;
  /** `refused`: the replica answers, but wants a token, or another one. @type {'connecting' | 'live' | 'lost' | 'refused'} */
  connection = 'connecting';
  /** When the replica last confirmed what is shown, Unix ms by the server's clock. @type {number | undefined} */
  confirmed;
  /** The server's clock less this one's, in ms. */
  clockOffset = 0;
  /** @type {Map<string, Slot>} */
  #slots = new Map();
  /** @type {() => void} */
  #changed;
  #token = storedToken();

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
  }

  /** Why the replica does not let us in; undefined when it does. @type {{ status: number, reason: string } | undefined} */
  refused;
  /** Ends the pause before the next attempt. */
  #wake = () => {};
  /** The stream that is read now. */
  #stream = new AbortController();
  /** Somebody has just signed in: no pause. */
  #atOnce = false;

  /** Follows the cluster for as long as the page is open. */
  async connect() {
    for (;;) {
      const refused = await this.#follow().then(
        () => false,
        () => true,
      );
      if (!this.#atOnce) this.connection = this.refused === undefined ? 'lost' : 'refused';
      this.#changed();
      // A replica with too many watchers still answers what is asked once.
      if (refused && this.refused === undefined) await this.#look();
      await new Promise((resolve) => {
        this.#wake = () => resolve(undefined);
        const pause = this.refused !== undefined ? refusedMs : refused ? reconnectMs : resumeMs;
        setTimeout(resolve, this.#atOnce ? 0 : pause);
      });
      this.#atOnce = false;
    }
  }

  /** Keeps a token for as long as the tab is open, and tries again. @param {string} token */
  signIn(token) {
    try {
      sessionStorage.setItem('token', token);
    } catch {
      // Storage is off: until the page is loaded again.
    }
    this.#token = token;
    this.refused = undefined;
    this.connection = 'connecting';
    this.#slots.clear();
    this.#atOnce = true;
    this.#stream.abort();
    this.#wake();
    this.#changed();
  }

  /** Reads server-sent events until the connection ends. @throws when there is none */
  async #follow() {
    const controller = new AbortController();
    this.#stream = controller;
    let silence = setTimeout(() => controller.abort(), silentMs);
    try {
      const response = await this.#request('console/events', 'text/event-stream', controller.signal);
      if (!response.ok || response.body === null) throw new Error(`answered with ${response.status}`);
      this.connection = 'live';
      this.refused = undefined;
      this.#changed();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      await this.#read(reader, () => {
        clearTimeout(silence);
        silence = setTimeout(() => controller.abort(), silentMs);
      });
    } finally {
      clearTimeout(silence);
    }
  }

  /** @param {ReadableStreamDefaultReader<string>} reader @param {() => void} heard called whenever something comes */
  async #read(reader, heard) {
    let text = '';
    for (;;) {
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
      if (done || value === undefined) return;
      heard();
      this.confirmed = Date.now() + this.clockOffset;
      text += value;
      for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
        this.#take(text.slice(0, end).split('\n'));
        text = text.slice(end + 2);
      }
    }
  }

  /** @param {string[]} lines of one event (HTML Living Standard, 9.2.6) */
  #take(lines) {
    const [line] = lines.filter((one) => one.startsWith('data: '));
    if (line === undefined) return;
    /** @type {unknown} */
    const overview = JSON.parse(line.slice('data: '.length));
    this.overview = /** @type {Overview} */ (overview);
    this.#changed();
  }

  async #look() {
    try {
      const value = await this.#fetch('console/data/overview', new AbortController().signal);
      this.overview = /** @type {Overview} */ (value);
      this.confirmed = Date.now() + this.clockOffset;
      this.#changed();
    } catch {
      // Said by the badge.
    }
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
      const [oldest] = this.#slots.keys();
      if (this.#slots.size > maxSlots && oldest !== undefined) this.#slots.delete(oldest);
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

  /** @param {string} url @param {string} accept @param {AbortSignal} signal */
  async #request(url, accept, signal) {
    const headers = new Headers({ accept });
    if (this.#token !== '') headers.set('authorization', `Bearer ${this.#token}`);
    const response = await fetch(url, { signal, headers });
    if (response.status === 401 || response.status === 403) {
      /** @type {unknown} */
      const body = await response.clone().json();
      const { detail } = /** @type {{ detail?: string }} */ (body);
      this.refused = { status: response.status, reason: detail ?? `answered with ${response.status}` };
      this.connection = 'refused';
      this.#changed();
    }
    return response;
  }

  /** @param {string} url @param {AbortSignal} signal @returns {Promise<unknown>} */
  async #fetch(url, signal) {
    const response = await this.#request(url, 'application/json', signal);
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
