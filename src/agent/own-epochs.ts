/** The epochs of this process's latest connections: an operation bound to another epoch is not for it. */

/** More than the connections within the time of an operation. */
const remembered = 100;

export class OwnEpochs {
  readonly #epochs = new Set<bigint>();

  add(epoch: bigint): void {
    this.#epochs.add(epoch);
    const [oldest] = this.#epochs;
    if (this.#epochs.size > remembered && oldest !== undefined) this.#epochs.delete(oldest);
  }

  has(epoch: bigint): boolean {
    return this.#epochs.has(epoch);
  }
}
