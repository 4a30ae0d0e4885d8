/** Questions about dynamic accounts that an agent has not answered yet, at most one for each account. */

export type AccountAnswer =
  | { readonly kind: 'done' }
  /** Why not, in the agent's words. */
  | { readonly kind: 'refused'; readonly message: string }
  /** The stream ended, or something newer was asked. */
  | { readonly kind: 'lost' };

interface Question {
  /** Version of the definition to serve; 0: stop serving the account. */
  readonly version: number;
  readonly answer: (answer: AccountAnswer) => void;
}

export class AccountQuestions {
  readonly #open = new Map<string, Question>();
  #ended = false;

  /** @returns the agent's answer, whenever it comes; the caller gives up by forget() */
  ask(account: string, version: number): Promise<AccountAnswer> {
    if (this.#ended) return Promise.resolve({ kind: 'lost' });
    this.forget(account);
    return new Promise((answer) => this.#open.set(account, { version, answer }));
  }

  /** An answer that nobody waits for, or to an older question, is dropped. */
  answer(account: string, version: number, answer: AccountAnswer): void {
    const question = this.#open.get(account);
    if (question?.version !== version) return;
    this.#open.delete(account);
    question.answer(answer);
  }

  forget(account: string): void {
    this.#open.get(account)?.answer({ kind: 'lost' });
    this.#open.delete(account);
  }

  /** The stream ended. */
  end(): void {
    this.#ended = true;
    for (const account of [...this.#open.keys()]) this.forget(account);
  }
}
