/**
 * Latencies in little memory: log-linear buckets as in HdrHistogram, 128 to each power of two, so that a quantile is
 * off by less than 0.8 %. Own code because it is this one formula; the packages bring WebAssembly or a codec along.
 */

const bucketsPerPower = 128;
/** 2^31 µs, about 36 minutes; more counts as that. */
const maximum = 2 ** 31 - 1;

export class Histogram {
  readonly #counts = new Uint32Array(bucketIndex(maximum) + 1);
  #count = 0;
  #sum = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  /** Exact, 0 when empty. */
  get max(): number {
    return this.#max;
  }

  /** Exact, 0 when empty. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  /** Counts one value: a number of at least 0, in any unit, read as an integer. */
  record(value: number): void {
    const integer = Math.min(maximum, Math.max(0, Math.round(value)));
    const index = bucketIndex(integer);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count += 1;
    this.#sum += integer;
    this.#max = Math.max(this.#max, integer);
  }

  /** The value that `fraction` (0 to 1) of all values do not exceed; 0 when empty. */
  quantile(fraction: number): number {
    const rank = Math.max(1, Math.ceil(fraction * this.#count));
    let seen = 0;
    for (const [index, count] of this.#counts.entries()) {
      seen += count;
      if (seen >= rank) return Math.min(this.#max, bucketEnd(index));
    }
    return this.#max;
  }
}

function bucketIndex(value: number): number {
  const shift = Math.max(0, 24 - Math.clz32(value));
  return shift * bucketsPerPower + (value >>> shift);
}

/** The largest value in a bucket. */
function bucketEnd(index: number): number {
  const shift = Math.max(0, Math.floor(index / bucketsPerPower) - 1);
  return (index - shift * bucketsPerPower + 1) * 2 ** shift - 1;
}
