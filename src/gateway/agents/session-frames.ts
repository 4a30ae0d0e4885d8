/** Messages from the domain to agents; grpc/frames.ts encodes them, so no generated type is needed here. */

export interface SessionFrames {
  registered(epoch: number): Uint8Array;
  caching(start: readonly string[], stop: readonly string[]): Uint8Array;
  reconnect(reason: ReconnectReason, delayMs: number): Uint8Array;
  ping(sequence: number, periodMs: number): Uint8Array;
  addAccount(account: AccountToServe): Uint8Array;
  deleteAccounts(names: readonly string[]): Uint8Array;
  openKubernetesApi(): Uint8Array;
}

/** A dynamic account as its agents get it. */
export interface AccountToServe {
  readonly name: string;
  readonly version: number;
  /** With its secrets; absent if the agent has it in a file, or uses its service account. */
  readonly kubeconfig: string | undefined;
  /** On the agent's machine. */
  readonly kubeconfigFile: string | undefined;
  /** The other options of `kubernetes.accounts[]`, as JSON. */
  readonly options: string;
}

export type ReconnectReason = 'draining' | 'rebalancing' | 'requested';
