/** Is the database there, new enough, ours to change, and of the same time as we are? */

import { access, constants, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { GatewayError } from '../../core/errors.js';
import type { Config } from '../../gateway/config/config.js';
import { databaseOptions } from '../../gateway/config/database-options.js';
import { withoutCredentials } from '../../gateway/config/url.js';
import { openDatabase, type Database } from '../../store/sql/database.js';
import {
  appliedMigrations,
  describeServer,
  tryTableChanges,
  type ServerDescription,
} from '../../store/migrations/examination.js';
import { examine, failed, ok, warning, type Finding, type CheckOutcome } from './finding.js';

/** For operations of 4 MiB, which go as base64, and their neighbours in a batch. */
const wantedPacketBytes = 16 * 1_024 * 1_024;

const reachRemedy =
  'Check sql.url, sql.user and sql.password, that the database exists, and that the network lets this machine through.';

/** The findings one after the other; the first failure to connect is the last of them. */
export async function* examineSql(config: Config, signal: AbortSignal): AsyncGenerator<Finding> {
  const { url } = config.sql;
  if (url.startsWith('pglite:')) {
    yield await examine('sql', 'Correct sql.url.', signal, () => embeddedOutcome(url.slice('pglite:'.length)));
    return;
  }
  let database: Database | undefined;
  try {
    let server: ServerDescription | undefined;
    yield await examine('sql', reachRemedy, signal, async (limit) => {
      database = openDatabase({ ...(await databaseOptions(config, 'service')), maxPoolSize: 1 });
      await database.ping(limit);
      server = await describeServer(database, limit);
      return ok(`${withoutCredentials(url)} answers`);
    });
    if (database === undefined || server === undefined) return;
    yield { check: 'sql version', ...versionOutcome(server) };
    const { packetBytes } = database;
    if (packetBytes < wantedPacketBytes) yield { check: 'sql packets', ...packetOutcome(packetBytes) };
    yield { check: 'sql clock', ...clockOutcome(server.clockDifferenceMs, config.kubesvc.instances.leaseMs) };
    const open = database;
    yield await examine('sql migrations', 'Run agent-gateway migrate.', signal, async (limit) =>
      migrationOutcome(await appliedMigrations(open, limit)),
    );
  } finally {
    await database?.close();
  }
  yield await examineTableChanges(config, signal);
}

/** A directory is not opened: a gateway may be running on it, and one process at a time can. */
async function embeddedOutcome(directory: string): Promise<CheckOutcome> {
  if (directory === 'memory')
    return ok('embedded, in memory: only for a first run; the data is lost when the process ends');
  const nearest = await nearestDirectory(resolve(directory));
  await access(nearest, constants.W_OK | constants.X_OK);
  return ok(`embedded, in ${directory}: only for a first run, with one instance`);
}

/** The directory itself, or the one that it would be made in. */
async function nearestDirectory(directory: string): Promise<string> {
  const found = await stat(directory).catch(() => undefined);
  if (found?.isDirectory() === false) throw new Error(`${directory} is not a directory`);
  return found === undefined ? nearestDirectory(dirname(directory)) : directory;
}

async function examineTableChanges(config: Config, signal: AbortSignal): Promise<Finding> {
  const key = config.sql.migration.user === undefined ? 'sql.user' : 'sql.migration.user';
  const remedy = `Grant CREATE, ALTER, INDEX and DROP on the database to the user of ${key}, or name another user in sql.migration.user.`;
  return examine('sql privileges', remedy, signal, async (limit) => {
    const database = openDatabase({ ...(await databaseOptions(config, 'migration')), maxPoolSize: 1 });
    try {
      await tryTableChanges(database, limit);
    } catch (error) {
      // It answered, and takes changes of nobody.
      if (!(error instanceof GatewayError) || error.details.unsent !== true) throw error;
      return failed(error.message, 'Point sql.url at the primary; if its disk is full, free some space.');
    } finally {
      await database.close();
    }
    return ok(`the user of ${key} may create, alter and drop tables`);
  });
}

export function versionOutcome({ product, version, minimum, supported }: ServerDescription): CheckOutcome {
  const found = `${product} ${version}`;
  if (supported) return ok(found);
  return failed(`${found}, older than ${minimum}`, `Use ${product} ${minimum} or newer.`);
}

function packetOutcome(bytes: number): CheckOutcome {
  const found = `max_allowed_packet is ${String(bytes)} bytes: larger operations and cached objects are refused`;
  return warning(found, `Set max_allowed_packet to ${String(wantedPacketBytes)} or more on the server.`);
}

/** Times that instances compare are the database's own; ours go into logs, histories and certificates. */
export function clockOutcome(differenceMs: number, leaseMs: number): CheckOutcome {
  const distance = Math.abs(differenceMs);
  const found = `this machine's clock is ${String(distance)} ms ${differenceMs > 0 ? 'behind' : 'ahead of'} the database's`;
  const remedy = 'Synchronise the clocks of both machines (NTP).';
  if (distance > leaseMs / 2) return failed(found, remedy);
  return distance > 1_000 ? warning(found, remedy) : ok(found);
}

function migrationOutcome(applied: readonly string[] | undefined): CheckOutcome {
  if (applied === undefined) return ok('no tables yet; the first start creates them');
  const last = applied.at(-1);
  return ok(`${String(applied.length)} applied${last === undefined ? '' : `, the last one ${last}`}`);
}
