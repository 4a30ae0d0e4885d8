/**
 * Reads files that may never answer: on a mount whose server is gone, or a named pipe that nobody writes to. Node.js
 * reads files in four threads, which also resolve names: four such files would stop the whole process, and keep it from
 * ending. So a child process reads any file that may hang, and can be left behind.
 */

import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { TellableError } from './errors.js';
import { runProgram } from './program.js';

/** File systems that do not depend on another machine. */
const local = /^(?:tmpfs|ramfs|rootfs|devtmpfs|proc|overlay|ext[234]|xfs|btrfs|zfs|f2fs|squashfs|erofs|vfat)$/u;
const script = 'process.stdout.write(require("node:fs").readFileSync(process.argv[1]))';
const maximumBytes = 8 * 1024 * 1024;

/** @throws TellableError naming the file and why (an error code); the signal's reason */
export async function readDistantFile(path: string, signal: AbortSignal): Promise<Buffer> {
  const file = resolve(path);
  const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => undefined);
  if (mounts === undefined || local.test(typeOf(file, mounts))) {
    try {
      const found = await stat(file);
      if (found.isFile()) return await readFile(file, { signal });
      if (found.isDirectory()) throw new Error('it is a directory');
    } catch (error) {
      signal.throwIfAborted();
      throw new TellableError(`${path} cannot be read: ${codeOf(error)}`, { cause: error });
    }
  }
  try {
    const program = { command: process.execPath, args: ['-e', script, file], environment: {}, maximumBytes };
    return await runProgram(program, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw new TellableError(`${path} cannot be read`, { cause: error });
  }
}

/** The type of the file system that a path is on (proc(5)). */
function typeOf(path: string, mounts: string): string {
  let [longest, type] = [-1, ''];
  for (const line of mounts.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const point = (before.split(' ')[4] ?? '').replaceAll('\\040', ' ');
    const isAbove = path === point || path.startsWith(point.endsWith('/') ? point : `${point}/`);
    // If two file systems are mounted on one point, the later one is visible.
    if (point === '' || !isAbove || point.length < longest) continue;
    [longest, type] = [point.length, after.split(' ')[0] ?? ''];
  }
  return type;
}

function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error) return String(error.code);
  return error instanceof Error ? error.message : 'unknown';
}
