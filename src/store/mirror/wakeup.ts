/**
 * The pause of a background loop: it ends after a time, at ring(), or at stop; one loop waits, many callers may ring.
 */

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

/** Settles as the promise does, or fails after `ms`; a later outcome of the promise is ignored. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what} took longer than ${ms} ms`));
    }, ms);
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}
