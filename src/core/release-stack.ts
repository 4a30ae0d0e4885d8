/**
 * A stack of releases: code that acquires something pushes its release. Releases run last in, first out, all of them,
 * also when some fail; the first failure is thrown at the end.
 */

export type Release = () => void | Promise<void>;

export class ReleaseStack {
  readonly #releases: { readonly name: string; readonly release: Release }[] = [];
  #closing: Promise<void> | undefined;

  /** Adds a release. After close() it runs at once, so that a late acquisition cannot leak. */
  push(name: string, release: Release): void {
    if (this.#closing !== undefined) {
      this.#closing = this.#closing.finally(release);
      // The caller of close() has been told what failed; a late push waits for nothing.
      this.#closing.catch(() => undefined);
      return;
    }
    this.#releases.push({ name, release });
  }

  /**
   * Releases everything; calling it again gives the same promise.
   * @throws the first error that a release threw, with the release's name in front
   */
  close(): Promise<void> {
    this.#closing ??= this.#run();
    return this.#closing;
  }

  async #run(): Promise<void> {
    let first: Error | undefined;
    for (let entry = this.#releases.pop(); entry !== undefined; entry = this.#releases.pop()) {
      try {
        await entry.release();
      } catch (error) {
        first ??= new Error(`${entry.name}: ${error instanceof Error ? error.message : String(error)}`, {
          cause: error,
        });
      }
    }
    if (first !== undefined) throw first;
  }
}
