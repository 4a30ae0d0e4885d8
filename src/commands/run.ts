/** One command line: help, or the command that it names; what is wrong with it is said, and has an exit code. */

import { ClientError } from '../client/exit-code.js';
import type { CommandIo } from '../command-line/command.js';
import { parseCommandLine, wordsOf } from '../command-line/parse.js';
import { UsageError, usageExitCode } from '../command-line/usage-error.js';
import { commands, helpOf } from './table.js';

const aliases = new Map([
  ['--version', 'version'],
  ['-h', 'help'],
  ['--help', 'help'],
]);

/** @returns the exit code. @throws the reason of the signal; GatewayError of a server's configuration or start */
export async function runCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  const [first = 'help', ...rest] = argv;
  try {
    const parsed = parseCommandLine(commands, [aliases.get(first) ?? first, ...rest]);
    if (parsed.help === undefined) return await parsed.command.run(parsed.input, io);
    io.stdout.write(helpOf(parsed.help));
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
