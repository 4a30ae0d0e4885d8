/** One command line: prints help or runs the command that it names; reports errors, and returns the exit code. */

import { ClientError } from '../client/exit-code.js';
import type { CommandIo } from '../command-line/command.js';
import { parseCommandLine, wordsOf } from '../command-line/parse.js';
import { UsageError, usageExitCode } from '../command-line/usage-error.js';
import { commands, helpOf } from './table.js';

/** @returns the exit code. @throws the reason of the signal; GatewayError of a server's configuration or start */
export async function runCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  try {
    const parsed = parseCommandLine(commands, argv.length === 0 ? ['help'] : argv);
    if (parsed.asks === undefined) return await parsed.command.run(parsed.input, io);
    io.stdout.write(parsed.asks === 'help' ? helpOf(parsed.words) : `${io.version}\n`);
    return 0;
  } catch (error) {
    io.signal.throwIfAborted();
    if (!(error instanceof UsageError || error instanceof ClientError)) throw error;
    io.stderr.write(`agent-gateway: ${error.message}\n`);
    if (error instanceof ClientError && error.exitCode !== usageExitCode) return error.exitCode;
    const words = wordsOf(commands, argv);
    io.stderr.write(`Try: agent-gateway ${[...words, '--help'].join(' ')}\n`);
    return usageExitCode;
  }
}
