/** The Debian packages that the tests need: servers, and other implementations of our protocols to test against. */

import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { progress } from './progress.js';

const run = promisify(execFile);

/** What startMariaDb() and startRedis() run. */
export const mariaDbAndRedis = ['mariadb-server-core', 'mariadb-client-core', 'redis-server'];

const testPackages = [
  ...mariaDbAndRedis,
  ...['postgresql', 'curl', 'openssl', 'unzip', 'libaio1', 'libnuma1'],
  ...['prometheus', 'protobuf-compiler', 'libprotobuf-dev', 'libprotobuf-java', 'python3-grpcio', 'nghttp2-client'],
];

/** A browser, for the console's tests alone (124 MB, 22 s): where it cannot be installed they are skipped, and say so. */
const browserPackages = ['chromium', 'fonts-dejavu-core'];

const aptTimeoutMs = 15 * 60_000;

export interface PackageOptions {
  /** Default: those of the tests. */
  readonly names?: readonly string[];
  /** Those that may be missing. Default: the browser, if `names` is left out. */
  readonly optional?: readonly string[];
  /** Default: standard error. */
  readonly write?: (line: string) => unknown;
  /** Default: `/`. */
  readonly root?: string;
}

/**
 * Installs what is missing, as root, after saying so. No service of the machine is started or enabled by that.
 * @throws Error that names the packages to install, when not root or when apt-get fails
 */
export async function ensurePackages(options: PackageOptions = {}): Promise<void> {
  const { names = testPackages, write = (line: string) => process.stderr.write(line), root = '/' } = options;
  const optional = options.optional ?? (options.names === undefined ? browserPackages : []);
  const missing = names.filter((name) => !isInstalled(name));
  const wanted = optional.filter((name) => !isInstalled(name));
  if (missing.length === 0 && wanted.length === 0) return;
  const isRoot = process.getuid?.() === 0;
  if (missing.length === 0 && !isRoot) return;
  const command = `apt-get install --no-install-recommends ${missing.join(' ')}`;
  if (!isRoot) throw new Error(`Debian packages are missing; as root: ${command}`);
  write(
    `installing Debian packages, without starting or enabling their services: ${[...missing, ...wanted].join(' ')}\n`,
  );
  await withoutServices(root, () =>
    progress(
      'installing Debian packages',
      async () => {
        await aptGet('update', '-qq');
        await install(missing);
        // The tests that need them say so.
        await install(wanted).catch(() => undefined);
      },
      { write },
    ),
  );
  const still = missing.filter((name) => !isInstalled(name));
  if (still.length > 0) throw new Error(`apt-get did not install ${still.join(' ')}`);
}

async function install(names: readonly string[]): Promise<void> {
  if (names.length > 0) await aptGet('install', '-qq', '-y', '--no-install-recommends', ...names);
}

function isInstalled(name: string): boolean {
  const query = spawnSync('dpkg-query', ['-W', '-f', '${db:Status-Status}', name], { encoding: 'utf8' });
  if (query.error !== undefined) throw new Error(`packages are installed on Debian only: ${query.error.message}`);
  return query.stdout === 'installed';
}

/** @throws Error with what apt-get said */
async function aptGet(...args: string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', args, { env, timeout: aptTimeoutMs, maxBuffer: 64 * 1024 * 1024 });
}

/**
 * Debian's server packages start their server on installation, unless this program says 101 (invoke-rc.d(8)), and have it
 * started with the machine, which is undone.
 */
async function withoutServices(root: string, install: () => Promise<void>): Promise<void> {
  const policy = join(root, 'usr/sbin/policy-rc.d');
  const enabledBefore = new Set(unitLinks(root));
  const isOurs = !existsSync(policy);
  if (isOurs) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await install();
  } finally {
    if (isOurs) rmSync(policy);
    const enabled = unitLinks(root).filter((link) => !enabledBefore.has(link));
    const units = [...new Set(enabled.map((link) => basename(link)))];
    if (units.length > 0) await run('systemctl', ['disable', '--quiet', ...units], { timeout: 60_000 });
  }
}

/** Of the units that start with the machine, such as `multi-user.target.wants/redis-server.service`. */
function unitLinks(root: string): string[] {
  const enabledUnits = join(root, 'etc/systemd/system');
  if (!existsSync(enabledUnits)) return [];
  const names = readdirSync(enabledUnits, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => /\.(wants|requires)\/[^/]+$/u.test(name));
}
