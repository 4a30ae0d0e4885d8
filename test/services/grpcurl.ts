/** grpcurl, a gRPC client of another make (Go), built once into a cache outside the tree. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const version = 'v1.9.3';
const buildTimeoutMs = 100_000;

/** A command line of grpcurl; gives its standard output. */
export type Grpcurl = (...args: string[]) => Promise<string>;

/** @returns why it is not to be had, where Go is missing or cannot fetch it */
export async function grpcurl(): Promise<Grpcurl | string> {
  const directory = join(homedir(), '.cache', 'agent-gateway-tests', `grpcurl-${version}`);
  const program = join(directory, 'grpcurl');
  if (!existsSync(program)) {
    const env = { ...process.env, GOBIN: directory };
    const command = ['install', `github.com/fullstorydev/grpcurl/cmd/grpcurl@${version}`];
    try {
      await run('go', command, { env, timeout: buildTimeoutMs });
    } catch (error) {
      return `go ${command.join(' ')} failed: ${error instanceof Error ? (error.message.split('\n')[1] ?? error.message) : String(error)}`;
    }
  }
  return async (...args) => (await run(program, ['-max-time', '10', ...args])).stdout;
}
