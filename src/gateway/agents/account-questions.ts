/** What an agent was asked of dynamic accounts and has not answered: one question of an account at a time. */

export type AccountAnswer =
  | { readonly kind: 'done' }
  /** Why not, in the agent's words. */
  | { readonly kind: 'refused'; readonly message: string }
  /** The stream ended, or something newer was asked. */
  | { readonly kind: 'lost' };

interface Question {
  /** Of the definition to serve by; 0: to serve no more. */
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

  /** An answer that nobody waits for, or to something older, is dropped. */
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
