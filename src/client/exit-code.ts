/** Exit codes that scripts can use, and the error that carries one. */

export const exitCodes = {
  /** Done; of `ops send` and `ops watch ID`: the operation completed. */
  done: 0,
  /** The operation failed, or its agent was lost. */
  failed: 1,
  /** A flag or an argument is wrong. */
  usage: 2,
  /** No such operation, account, agent or instance. */
  notFound: 3,
  /** The gateway refuses: bad request, conflict, not allowed. */
  refused: 4,
  /** Not now: unreachable, overloaded, no agent connected. The same call may succeed later. */
  unavailable: 5,
  /** The operation is under way and had no result in time. */
  noResult: 6,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends a command with a message on standard error. */
export class ClientError extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string) {
    super(message);
    this.name = 'ClientError';
    this.exitCode = exitCode;
  }
}

export function usageError(message: string): ClientError {
  return new ClientError(exitCodes.usage, message);
}

/** What an answer of the gateway that is not a success means for a script. @param status of HTTP */
export function exitCodeOf(status: number): ExitCode {
  if (status === 404) return exitCodes.notFound;
  if (status === 504) return exitCodes.noResult;
  if (status === 502) return exitCodes.failed;
  if (status === 429 || status >= 500) return exitCodes.unavailable;
  return exitCodes.refused;
}
