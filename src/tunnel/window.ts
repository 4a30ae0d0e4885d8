/** Passes data on to a reader, and stops their source while the reader lags behind. */

/** Bytes of an HTTP answer or of an upgraded connection that its reader may not have passed on yet; less than `exchangeWindowBytes`, because the way is short. */
export const readerWindowBytes = 131_072;

/** An undici response, or a socket. */
export interface PausableSource {
  pause(): void;
  resume(): void;
}

export class ReaderWindow {
  readonly #onData: (data: Uint8Array) => void;
  #source: PausableSource | undefined;
  /** Came in one piece with what the window allowed; the source is paused while there are any. */
  #held: Uint8Array[] = [];
  #onEnd: (() => void) | undefined;
  #open = readerWindowBytes;

  /** @param onData is given at most `readerWindowBytes` more than consumed() has reported */
  constructor(onData: (data: Uint8Array) => void) {
    this.#onData = onData;
  }

  push(data: Uint8Array, source: PausableSource): void {
    if (data.length === 0) return;
    this.#held.push(data);
    this.#pass();
    if (this.#open > 0 || this.#source !== undefined) return;
    this.#source = source;
    source.pause();
  }

  /** Calls `onEnd` when everything before it has been passed on. */
  end(onEnd: () => void): void {
    this.#onEnd = onEnd;
    this.#pass();
  }

  consumed(bytes: number): void {
    this.#open += bytes;
    this.#pass();
    const source = this.#source;
    if (source === undefined || this.#open <= 0) return;
    this.#source = undefined;
    // Not at once: undici's parsers share one instance, which may be at work for another connection right now.
    queueMicrotask(() => {
      source.resume();
    });
  }

  #pass(): void {
    while (this.#open > 0) {
      const data = this.#held.shift();
      if (data === undefined) break;
      const piece = data.length > this.#open ? data.subarray(0, this.#open) : data;
      if (piece.length < data.length) this.#held.unshift(data.subarray(piece.length));
      this.#open -= piece.length;
      this.#onData(piece);
    }
    if (this.#held.length > 0) return;
    const onEnd = this.#onEnd;
    this.#onEnd = undefined;
    onEnd?.();
  }
}
