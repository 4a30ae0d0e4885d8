/** Exit codes that scripts can use, and the error that carries one. */

import { usageExitCode } from '../command-line/usage-error.js';

export const exitCodes = {
  /** Done; of `ops send` and `ops watch ID`: the operation completed. */
  done: 0,
  /** The operation failed, or its agent was lost. */
  failed: 1,
  /** A flag or an argument is wrong. */
  usage: usageExitCode,
  /** No such operation, account, agent or instance. */
  notFound: 3,
  /** The gateway refuses: bad request, conflict, not allowed. */
  refused: 4,
  /** Not now: unreachable, overloaded, no agent connected. The same call may succeed later. */
  unavailable: 5,
  /** The operation is under way, or may be: it was not waited for, or had no result in time. */
  noResult: 6,
} as const;

export const exitCodesHelp =
  'Exit code: 0 done; 1 the operation failed; 2 a flag is wrong; 3 not found; 4 refused; 5 not available now;\n' +
  '6 under way: not waited for, or no result in time; 130 or 143 interrupted.';

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

/** The exit code for a refusal of the gateway. @param status of HTTP */
export function exitCodeOf(status: number): ExitCode {
  if (status === 404) return exitCodes.notFound;
  if (status === 504) return exitCodes.noResult;
  if (status === 502) return exitCodes.failed;
  if (status === 429 || status >= 500) return exitCodes.unavailable;
  return exitCodes.refused;
}

/** The same for an answer that is not the gateway's own, but a proxy's or another server's. */
export function foreignExitCodeOf(status: number): ExitCode {
  if (status === 401 || status === 403) return exitCodes.refused;
  return status === 504 ? exitCodes.noResult : exitCodes.unavailable;
}
