/** What a run broke. */

export type Rule =
  | 'one outcome'
  | 'executed once'
  | 'completed means executed'
  | 'refused means not executed'
  | 'answer equals record'
  | 'one cacher'
  | 'somebody caches'
  | 'mirror equals SQL'
  | 'agents equal everywhere'
  | 'connected means assigned'
  | 'reachable at rest'
  | 'caller not kept waiting'
  | 'API request sent once'
  | 'API request ends'
  | 'API answer is its own'
  | 'API refusal means not sent'
  | 'API caller not kept waiting';

export interface Violation {
  readonly rule: Rule;
  readonly message: string;
  /** When, on the history's clock; absent for what the state at rest says. */
  readonly t?: number;
  /** The operation, account or agent. */
  readonly subject: string;
}
