/** What is wrong with a command line, and the exit code of it. */

/** Names the flag, argument or command, and says what was expected. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** The exit code of every command whose command line is wrong. */
export const usageExitCode = 2;
