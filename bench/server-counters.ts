/** What the database and Redis count of what they were asked. */

import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { Redis } from 'ioredis';
import { processCpuSeconds } from './engines.js';

/** A global status variable of MariaDB. */
export async function statusOf(database: Connection, name: string): Promise<number> {
  const [rows] = await database.query<RowDataPacket[]>('show global status like ?', [name]);
  return Number(rows[0]?.['Value']);
}

/** A number of a section of Redis' INFO. */
export async function figure(commands: Redis, section: string, name: string): Promise<number> {
  const line = (await commands.info(section)).split('\n').find((each) => each.startsWith(`${name}:`));
  return Number(line?.slice(name.length + 1));
}

/** What a MariaDB server has done so far. */
export interface DatabaseUse {
  readonly cpuSeconds: number;
  readonly statements: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** @param pid of the server */
export async function databaseUse(database: Connection, pid: number): Promise<DatabaseUse> {
  const [cpuSeconds, statements, bytesReceived, bytesSent] = await Promise.all([
    processCpuSeconds(pid),
    statusOf(database, 'Questions'),
    statusOf(database, 'Bytes_received'),
    statusOf(database, 'Bytes_sent'),
  ]);
  return { cpuSeconds, statements, bytesReceived, bytesSent };
}

export function sumOf(uses: readonly DatabaseUse[]): DatabaseUse {
  const sum = (name: keyof DatabaseUse): number => uses.reduce((total, use) => total + use[name], 0);
  return {
    cpuSeconds: sum('cpuSeconds'),
    statements: sum('statements'),
    bytesReceived: sum('bytesReceived'),
    bytesSent: sum('bytesSent'),
  };
}

export function differenceOf(after: DatabaseUse, before: DatabaseUse): DatabaseUse {
  return {
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    statements: after.statements - before.statements,
    bytesReceived: after.bytesReceived - before.bytesReceived,
    bytesSent: after.bytesSent - before.bytesSent,
  };
}
