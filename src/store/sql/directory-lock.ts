/**
 * Lets one process at a time use a directory. Each process that wants it listens on its own unix socket there, and then
 * looks for others: the kernel closes a socket with its process, no matter how that ends
 * (docs/decisions/0009-embedded-database.md).
 */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { open, readdir, rm, stat } from 'node:fs/promises';
import { createConnection, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { GatewayError } from '../../core/errors.js';

/** From the name of a socket's file: the process that made it, and a unique part. */
const fileName = /^\.gateway-(\d+)-[0-9a-f]{16}\.lock$/u;
/** `sun_path` has 104 bytes on macOS and 108 on Linux, with a zero at the end. */
const maxPathBytes = 103;
/**
 * Two processes that begin at the same moment see each other and both give way; the next time one of them comes first.
 */
const attempts = 6;
const pauseMs = 50;

/**
 * @returns a function that releases it
 * @throws GatewayError configuration, if another process, or other code in this one, has it
 * @throws Error of Node.js, if no socket can be made there
 */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  for (let attempt = 1; ; attempt += 1) {
    const lock = await listenIn(directory);
    const holder = await otherIn(directory, lock);
    if (holder === undefined) return () => lock.release();
    await lock.release();
    if (attempt === attempts) {
      const message = `sql.url: ${holder} uses ${directory}, and only one process can: stop it, or name another directory`;
      throw new GatewayError('configuration', message, { field: 'sql.url' });
    }
    await delay(pauseMs * (1 + Math.random() * attempt));
  }
}

interface Lock {
  readonly name: string;
  /** Path of a file in the directory, short enough for a socket. */
  readonly path: (name: string) => string;
  release(): Promise<void>;
}

async function listenIn(directory: string): Promise<Lock> {
  const name = `.gateway-${String(process.pid)}-${randomBytes(8).toString('hex')}.lock`;
  const handle = await open(directory);
  // Linux reaches an open directory by a short path, however long its own is.
  const base = process.platform === 'linux' ? `/proc/self/fd/${String(handle.fd)}` : directory;
  const path = (file: string): string => join(base, file);
  const server = createServer((socket) => socket.destroy()).unref();
  const release = async (): Promise<void> => {
    await closed(server);
    await rm(join(directory, name), { force: true });
    await handle.close();
  };
  try {
    if (Buffer.byteLength(path(name)) > maxPathBytes) throw tooLong(directory);
    server.listen(path(name));
    await once(server, 'listening');
  } catch (error) {
    await release();
    throw error;
  }
  return { name, path, release };
}

/** The process that has the directory or wants it at this moment; files of processes that have ended are removed. */
async function otherIn(directory: string, own: Lock): Promise<string | undefined> {
  for (const name of await readdir(directory)) {
    const process = fileName.exec(name)?.[1];
    if (process === undefined || name === own.name) continue;
    const code = await connectionError(own.path(name));
    // Anything but a refusal may be a process that is busy or stopped, or belongs to another user.
    if (code === 'ECONNREFUSED') await rm(join(directory, name), { force: true });
    else if (code !== 'ENOENT') return `process ${process}`;
  }
  // Another process may have considered this one dead, between the two system calls that bind a socket and listen on
  // it.
  const there = await stat(join(directory, own.name)).catch(() => undefined);
  return there === undefined ? 'another process' : undefined;
}

function connectionError(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code ?? '');
    });
  });
}

async function closed(server: Server): Promise<void> {
  if (!server.listening) return;
  server.close();
  await once(server, 'close');
}

function tooLong(directory: string): GatewayError {
  const message = `sql.url: the path ${directory} is too long to be locked: use one of 60 characters at most`;
  return new GatewayError('configuration', message, { field: 'sql.url' });
}
