/** The name of what a request creates: its path has only the kind, and the record should say more. */

import type { ExchangeEvents } from '../../tunnel/exchange.js';
import { objectName } from './object-name.js';

export class CreatedObject {
  readonly #asked: Uint8Array | undefined;
  #succeeded = false;
  /** The beginning of the answer. */
  #answered: Uint8Array | undefined;

  /** @param body of the request, if it came with the head */
  constructor(body: Uint8Array | undefined) {
    this.#asked = body;
  }

  /** Events that it hears, too. */
  hearing(events: ExchangeEvents): ExchangeEvents {
    return {
      onResponse: (head) => {
        this.#succeeded = head.status >= 200 && head.status < 300;
        events.onResponse(head);
      },
      onData: (data) => {
        if (this.#succeeded) this.#answered ??= data;
        events.onData(data);
      },
      onEnd: events.onEnd.bind(events),
      onDrain: events.onDrain.bind(events),
      onFailed: events.onFailed.bind(events),
    };
  }

  /** As the API server answered, else as it was asked for: "job-*" if the API server completes it; '' if nothing says it. */
  get name(): string {
    const answered = this.#answered === undefined ? '' : objectName(this.#answered).name;
    if (answered !== '' || this.#asked === undefined) return answered;
    const { name, generateName } = objectName(this.#asked);
    return name === '' && generateName !== '' ? `${generateName}*` : name;
  }
}
