/** What is kept of an account in kubesvc_clouddriver_accounts. */

export const clouddriverStates = [
  /** Clouddriver has it as it should be. */
  'registered',
  /** It is registered once an agent serves it and its cluster answers. */
  'waiting',
  /** Clouddriver refused the last write. */
  'refused',
  /** Clouddriver has an account of this name that another made: it is left alone. */
  'conflict',
  /** Clouddriver cannot have what is described. */
  'invalid',
  /** Gone here, and removed there after the clean-up time. */
  'leaving',
] as const;
export type ClouddriverState = (typeof clouddriverStates)[number];

export interface ClouddriverAccountRecord {
  readonly name: string;
  readonly state: ClouddriverState;
  /** Why, and what to do; without secrets. */
  readonly message?: string | undefined;
  /** Of state or message, ms UTC. */
  readonly lastUpdated: number;
}
