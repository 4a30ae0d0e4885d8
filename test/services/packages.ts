/** The Debian packages that the tests need: servers, and other implementations of our protocols to test against. */

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';

const packages = [
  ...['mariadb-server', 'postgresql', 'redis-server', 'curl', 'openssl', 'unzip', 'libaio1', 'libnuma1'],
  ...['prometheus', 'protobuf-compiler', 'libprotobuf-dev', 'libprotobuf-java', 'python3-grpcio', 'nghttp2-client'],
];

/** A browser, for the console's tests alone (124 MB, 22 s): where it cannot be installed they are skipped, and say so. */
const browserPackages = ['chromium', 'fonts-dejavu-core'];

/**
 * Installs what is missing, as root.
 * @throws Error that names the packages to install, when not root or when apt-get fails
 */
export function ensurePackages(): void {
  const missing = packages.filter((name) => !isInstalled(name));
  const browser = browserPackages.filter((name) => !isInstalled(name));
  if (missing.length === 0 && browser.length === 0) return;
  const root = process.getuid?.() === 0;
  if (missing.length === 0 && !root) return;
  const command = `apt-get install --no-install-recommends ${missing.join(' ')}`;
  if (!root) throw new Error(`the tests need Debian packages; as root: ${command}`);
  withoutStartingServices(() => {
    aptGet('update', '-qq');
    install(missing);
    try {
      install(browser);
    } catch {
      // The tests that need it say so.
    }
  });
  const still = missing.filter((name) => !isInstalled(name));
  if (still.length > 0) throw new Error(`apt-get did not install ${still.join(' ')}`);
}

function install(names: readonly string[]): void {
  if (names.length > 0) aptGet('install', '-qq', '-y', '--no-install-recommends', ...names);
}

function isInstalled(name: string): boolean {
  const query = spawnSync('dpkg-query', ['-W', '-f', '${db:Status-Status}', name], { encoding: 'utf8' });
  if (query.error !== undefined) throw new Error(`the tests run on Debian: ${query.error.message}`);
  return query.stdout === 'installed';
}

function aptGet(...args: string[]): void {
  execFileSync('apt-get', args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: 15 * 60_000,
  });
}

/** Debian's server packages start their server on installation, unless this program says 101 (invoke-rc.d(8)). */
function withoutStartingServices(install: () => void): void {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) {
    install();
    return;
  }
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    install();
  } finally {
    rmSync(policy);
  }
}
