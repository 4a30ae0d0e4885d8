/** Makes inputs of inputs: what a fuzzer does between two runs of a target. */

/** What the formats under test are made of, and numbers at which things break. */
const words = [
  ...['{', '}', '<', '>', '[', ']', ':', ',', '"', "'", '\\', '#', '\n', '\0', 'true', 'null', '-', '1e999', '0x'],
  ...['account: "a"', 'get {', 'object {', 'kind: "Pod"', '[type.googleapis.com/x.Y] {', 'UNKNOWN_ENUM_VALUE_A_1'],
  ...[
    '"operation":',
    '"result":',
    '"account":"a"',
    '{"get":{}}',
    '__proto__',
    'constructor',
    '\\u0000',
    '\\x',
    '\\777',
  ],
  ...[
    'GET ',
    'POST ',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\x16\x03\x01',
    'HTTP/1.1\r\n',
    'CN=',
    'claim:',
    '*',
    'sha256',
  ],
].map((text) => Buffer.from(text, 'latin1'));
const numbers = [0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x12, 0x1a].map((byte) => Buffer.from([byte]));
const lengths = [0xffff_ffff, 0x7fff_ffff, 0x0000_4000, 0x0001_0000].map((value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
});

/** An input is no longer than this, in bytes. */
const inputLimit = 16_384;

export class Mutator {
  readonly #random: () => number;

  /** @param random numbers from 0 to 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** One to six changes of an input, perhaps with parts of others. */
  mutate(input: Buffer, others: readonly Buffer[]): Buffer {
    let bytes: Buffer = Buffer.from(input);
    for (let left = 1 + this.below(6); left > 0; left -= 1) bytes = this.#change(bytes, others);
    return bytes.subarray(0, inputLimit);
  }

  #change(bytes: Buffer, others: readonly Buffer[]): Buffer {
    const at = this.below(bytes.length + 1);
    const length = this.below(Math.min(64, bytes.length - at) + 1);
    switch (this.below(8)) {
      case 0: {
        const flipped = Buffer.from(bytes);
        if (at < flipped.length) flipped[at] = (flipped[at] ?? 0) ^ (1 << this.below(8));
        return flipped;
      }
      case 1:
        return insert(bytes, at, this.pick(words));
      case 2:
        return insert(bytes, at, this.pick(this.below(2) === 0 ? numbers : lengths));
      case 3:
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
      case 4: {
        const part = bytes.subarray(at, at + length);
        return insert(bytes, at, Buffer.concat(Array.from({ length: 1 + this.below(40) }, () => part)));
      }
      case 5: {
        const other = this.pick(others);
        return Buffer.concat([bytes.subarray(0, at), other.subarray(this.below(other.length + 1))]);
      }
      case 6:
        return insert(bytes, at, Buffer.from(Array.from({ length: this.below(16) }, () => this.below(256))));
      default:
        return bytes.subarray(0, at);
    }
  }
}

function insert(bytes: Buffer, at: number, part: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at)]);
}
