/** The pause of a background loop: ends after a time, when somebody rings, or at stop; one loop, many who ring. */

export class Wakeup {
  #rung = false;
  #resume: (() => void) | undefined;

  /** Ends the pause; without one, the next pause is skipped. */
  ring(): void {
    this.#rung = true;
    this.#resume?.();
  }

  /** Waits for `ms`, ring() or the signal, whichever is first; never rejects. */
  async pause(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const finish = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', finish);
          this.#resume = undefined;
          resolve();
        };
        const timer = setTimeout(finish, ms);
        signal.addEventListener('abort', finish);
        this.#resume = finish;
      });
    }
    this.#rung = false;
  }
}
