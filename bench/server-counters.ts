/** What the database and Redis count of what they were asked. */

import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { Redis } from 'ioredis';

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
