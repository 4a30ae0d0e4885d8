/**
 * Takes a list of the Kubernetes API apart while it arrives: its items one by one, and the rest of the list. So an
 * agent's heap does not depend on the size of a page: of 100 objects of etcd's largest size, one at a time is parsed.
 */

import { parseJson } from '../documents/exact-json.js';

const [quote, backslash, openBrace, closeBrace, openBracket, closeBracket] = [...Buffer.from('"\\{}[]')] as [
  number,
  number,
  number,
  number,
  number,
  number,
];
const items = Buffer.from('items');

export class ListSplitter {
  readonly #onItem: (json: Buffer) => void;
  /** The list without its items. */
  #shell: Buffer[] = [];
  /** The part of the current item from earlier chunks. */
  #item: Buffer[] = [];
  #itemBytes = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #inItems = false;
  /** The last string of the outermost object: its key, if a value follows. */
  #key: number[] = [];
  readonly #maximumItemBytes: number;

  constructor(maximumItemBytes: number, onItem: (json: Buffer) => void) {
    this.#maximumItemBytes = maximumItemBytes;
    this.#onItem = onItem;
  }

  /** @throws Error if an item is larger than allowed; errors of onItem */
  push(chunk: Buffer): void {
    /** Start of the item, or of the part of the shell, that is not kept yet. */
    let begin = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] as number;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === backslash) this.#escaped = true;
        else if (byte === quote) this.#inString = false;
        else if (this.#depth === 1) this.#key.push(byte);
      } else if (byte === quote) {
        this.#inString = true;
        if (this.#depth === 1) this.#key = [];
      } else if (byte === openBrace || byte === openBracket) {
        if (this.#inItems && this.#depth === 2) {
          this.#shell.push(chunk.subarray(begin, at));
          begin = at;
        }
        if (this.#depth === 1 && byte === openBracket) this.#inItems = items.equals(Uint8Array.from(this.#key));
        this.#depth += 1;
      } else if (byte === closeBrace || byte === closeBracket) {
        this.#depth -= 1;
        if (this.#depth === 1) this.#inItems = false;
        if (this.#inItems && this.#depth === 2) {
          this.#onItem(Buffer.concat([...this.#item, chunk.subarray(begin, at + 1)]));
          this.#item = [];
          this.#itemBytes = 0;
          begin = at + 1;
        }
      }
    }
    const rest = chunk.subarray(begin);
    if (!this.#inItems || this.#depth === 2) this.#shell.push(rest);
    else {
      this.#itemBytes += rest.length;
      if (this.#itemBytes > this.#maximumItemBytes) throw new Error('an object of the Kubernetes API is too large');
      this.#item.push(rest);
    }
  }

  /** The list, with as many commas between its items as there were: parsed, without them. @throws SyntaxError */
  end(): unknown {
    if (this.#depth !== 0) throw new Error('the answer of the Kubernetes API was cut off');
    return parseJson(
      Buffer.concat(this.#shell)
        .toString('utf8')
        .replace(/\[[\s,]*\]/u, '[]'),
    );
  }
}
