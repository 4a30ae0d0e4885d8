/** Limits concurrent lists of API servers: in total, and for one account. Armory's `tasks.*`. */

export interface ListBudgets {
  readonly total: number;
  readonly perAccount: number;
}

interface Waiter {
  readonly account: string;
  readonly begin: () => void;
}

export class ListBudget {
  readonly #budgets: ListBudgets;
  readonly #running = new Map<string, number>();
  #total = 0;
  /** Bounded by the scopes of the accounts: each waits for one list at a time. */
  #waiting: Waiter[] = [];

  constructor(budgets: ListBudgets) {
    this.#budgets = budgets;
  }

  /** Runs the list when its turn has come, first come, first served. @throws the signal's reason */
  async run<T>(account: string, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    await this.#turn(account, signal);
    try {
      return await task();
    } finally {
      this.#count(account, -1);
      this.#next();
    }
  }

  #turn(account: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting = this.#waiting.filter((each) => each !== waiter);
        reject(signal.reason as Error);
      };
      const waiter: Waiter = {
        account,
        begin: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiter);
      this.#next();
    });
  }

  #next(): void {
    const { total, perAccount } = this.#budgets;
    this.#waiting = this.#waiting.filter((waiter) => {
      const free = this.#total < total && (this.#running.get(waiter.account) ?? 0) < perAccount;
      if (free) {
        this.#count(waiter.account, 1);
        waiter.begin();
      }
      return !free;
    });
  }

  #count(account: string, change: 1 | -1): void {
    this.#total += change;
    const running = (this.#running.get(account) ?? 0) + change;
    if (running === 0) this.#running.delete(account);
    else this.#running.set(account, running);
  }
}
