/**
 * Work that many callers ask for and that runs once. Each caller waits as long as it likes; the work is aborted when
 * the last one leaves.
 */

import { unlessAborted } from './deadline.js';

interface Running<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
}

export class SharedWork<T> {
  #running: Running<T> | undefined;

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /**
   * Waits for the work that is under way, or begins it.
   * @param task its signal aborts when no caller waits any longer
   * @throws what the task throws; the signal's reason, while others wait on
   */
  async run(signal: AbortSignal, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const running = (this.#running ??= this.#begin(task));
    running.waiting += 1;
    try {
      return await unlessAborted(running.result, signal);
    } finally {
      running.waiting -= 1;
      if (running.waiting === 0 && this.#running === running) {
        this.#running = undefined;
        running.controller.abort(signal.reason ?? new Error('nobody waits for it any longer'));
      }
    }
  }

  #begin(task: (signal: AbortSignal) => Promise<T>): Running<T> {
    const controller = new AbortController();
    const result = task(controller.signal);
    const running = { result, controller, waiting: 0 };
    const ended = (): void => {
      if (this.#running === running) this.#running = undefined;
    };
    result.then(ended, ended);
    return running;
  }
}
