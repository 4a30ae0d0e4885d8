/** What a process has open, from /proc. */

import { readdir, readFile, readlink } from 'node:fs/promises';

/** Kind of what is no known connection: pipes, files, listening sockets and so on. */
export const otherKind = 'other';

/**
 * Open descriptors of a process, counted by kind.
 * @param ports kinds of TCP connections, by the port of either end
 */
export async function openDescriptors(
  pid: number,
  ports: ReadonlyMap<number, string>,
): Promise<ReadonlyMap<string, number>> {
  const directory = `/proc/${pid}/fd`;
  const descriptors = await readdir(directory);
  // One may be closed in between.
  const targets = await Promise.all(descriptors.map((name) => readlink(`${directory}/${name}`).catch(() => undefined)));
  const kinds = kindsOf(await readFile(`/proc/${pid}/net/tcp`, 'utf8'), ports);
  const counts = new Map<string, number>();
  for (const target of targets) {
    if (target === undefined) continue;
    const kind = kinds.get(target) ?? otherKind;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

/** Kinds of connections, by what their descriptors link to: "socket:[INODE]". */
function kindsOf(table: string, ports: ReadonlyMap<number, string>): ReadonlyMap<string, string> {
  const kinds = new Map<string, string>();
  // Columns: line, local and remote address as HEX:HEX, state, ... the tenth is the inode.
  for (const line of table.split('\n').slice(1)) {
    const [, local = '', remote = '', , , , , , , inode = ''] = line.trim().split(/\s+/u);
    const kind = ports.get(portOf(remote)) ?? ports.get(portOf(local));
    if (kind !== undefined && portOf(remote) !== 0) kinds.set(`socket:[${inode}]`, kind);
  }
  return kinds;
}

function portOf(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16);
}
