/** The error for an invalid command line, and its exit code. */

/** Names the flag, argument or command, and what was expected. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** The exit code of every command whose command line is wrong. */
export const usageExitCode = 2;
