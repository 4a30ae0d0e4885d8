/**
 * Whether a watch is between two events, so that it can end there: its client then resumes from the last event
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).
 */

/** Follows the bytes of a watch. */
export interface WatchBoundary {
  push(data: Uint8Array): void;
  /** No event is incomplete. */
  readonly reached: boolean;
}

/** @param contentType of the answer: JSON events are lines, those in protobuf have their length in front */
export function watchBoundary(contentType: string): WatchBoundary {
  return contentType.includes('protobuf') ? new LengthPrefixed() : new Lines();
}

const lineFeed = 0x0a;

class Lines implements WatchBoundary {
  #last = lineFeed;

  push(data: Uint8Array): void {
    this.#last = data.at(-1) ?? this.#last;
  }

  get reached(): boolean {
    return this.#last === lineFeed;
  }
}

const prefixBytes = 4;

/** Length-delimited frames (k8s.io/apimachinery, pkg/util/framer): four bytes, big endian, then as many bytes. */
class LengthPrefixed implements WatchBoundary {
  /** Bytes of the current prefix that have come, and the number that they are so far. */
  #prefix = 0;
  #length = 0;
  /** Bytes of the current frame that are missing. */
  #missing = 0;

  push(data: Uint8Array): void {
    let position = 0;
    while (position < data.length) {
      if (this.#missing > 0) {
        const taken = Math.min(this.#missing, data.length - position);
        this.#missing -= taken;
        position += taken;
        continue;
      }
      this.#length = this.#length * 256 + (data[position] ?? 0);
      this.#prefix += 1;
      position += 1;
      if (this.#prefix < prefixBytes) continue;
      this.#missing = this.#length;
      this.#prefix = 0;
      this.#length = 0;
    }
  }

  get reached(): boolean {
    return this.#prefix === 0 && this.#missing === 0;
  }
}
