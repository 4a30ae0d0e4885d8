/** The numbers of this process's latest connections: what is bound to another one is not for it. */

/** More than there are connections in the time that an operation may take. */
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
