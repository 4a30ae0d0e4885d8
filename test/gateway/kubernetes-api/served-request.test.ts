/** A held answer that is passed on while its source goes on: every byte, in its order. */

import { test } from 'tap';
import type { Caller } from '../../../src/gateway/kubernetes-api/caller.js';
import { ServedRequest, type ServedEnd } from '../../../src/gateway/kubernetes-api/served-request.js';
import type { Exchange, ExchangeEvents } from '../../../src/tunnel/exchange.js';
import { readerWindowBytes } from '../../../src/tunnel/window.js';

const pieceBytes = readerWindowBytes / 4;

/** Sends an answer of so many pieces: the next ones in the moment in which earlier ones are consumed, as other replicas' do. */
class EagerSource implements Exchange {
  readonly #events: ExchangeEvents;
  readonly #pieces: Buffer[];
  #room = readerWindowBytes;

  constructor(events: ExchangeEvents, pieces: number) {
    this.#events = events;
    this.#pieces = Array.from({ length: pieces }, (_, index) => Buffer.alloc(pieceBytes, index + 1));
  }

  send(): void {
    while (this.#room > 0) {
      const piece = this.#pieces.shift();
      if (piece === undefined) {
        this.#room = 0;
        this.#events.onEnd([]);
        return;
      }
      this.#room -= piece.length;
      this.#events.onData(piece);
    }
  }

  consumed(bytes: number): void {
    this.#room += bytes;
    this.send();
  }

  write(): boolean {
    return true;
  }

  end(): void {
    return;
  }

  cancel(): void {
    return;
  }
}

for (const pieces of [1, 3, 4, 5, 40]) {
  test(`an answer of ${String(pieces)} pieces`, (t) => {
    const written: Uint8Array[] = [];
    const ended: ServedEnd[] = [];
    let isEnded = false;
    const caller: Caller = {
      listen: () => undefined,
      pause: () => undefined,
      resume: () => undefined,
      respond: () => undefined,
      write: (data) => {
        t.notOk(isEnded, 'nothing after the end');
        written.push(data);
        return true;
      },
      end: () => {
        isEnded = true;
      },
      cut: () => t.fail('it is not cut'),
      endConnection: () => undefined,
    };
    const served = new ServedRequest({
      caller,
      method: 'GET',
      bodyLength: 0,
      upgrade: false,
      passed: (head) => head,
      answerOf: () => t.fail('it is not refused') as never,
      onEnd: (end) => void ended.push(end),
    });
    let source: EagerSource | undefined;
    served.begin('document', (_first, events) => (source = new EagerSource(events, pieces)));
    served.onResponse({ status: 200, headers: ['Content-Type', 'application/json'] });
    source?.send();
    const expected = Buffer.concat(Array.from({ length: pieces }, (_, index) => Buffer.alloc(pieceBytes, index + 1)));
    t.ok(Buffer.concat(written).equals(expected), 'every byte in its order');
    t.match(ended, [{ status: 200, failure: undefined, responseBytes: expected.length }]);
    t.ok(isEnded);
    t.end();
  });
}
