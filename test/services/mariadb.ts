/** A private MariaDB server for tests. */

import { dirname } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { Service, type ServiceKind, type ServiceOptions } from './service.js';

/** The environment variable by which `npm test` hands the run's shared server to test files. */
export const mariaDbVariable = 'TEST_MARIADB_URL';

const mariaDb: ServiceKind = {
  name: 'mariadb',
  initialize: (directory) => [
    'mariadb-install-db',
    '--no-defaults',
    `--datadir=${directory}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    ...ownTemporaryFiles(directory),
    ...runAsRoot,
  ],
  command: (directory, port) => [
    'mariadbd',
    '--no-defaults',
    ...runAsRoot,
    `--datadir=${directory}`,
    `--socket=${directory}.sock`,
    `--pid-file=${directory}.pid`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    '--skip-log-bin',
    ...ownTemporaryFiles(directory),
    // With io_uring a restart right after a kill hangs now and then on recent kernels.
    '--innodb-use-native-aio=0',
    '--skip-name-resolve',
    '--innodb-buffer-pool-size=64M',
    // Survives the death of the process, which is what tests do to it; only a dead machine would lose data.
    '--innodb-flush-log-at-trx-commit=2',
    '--innodb-flush-method=nosync',
  ],
  stopSignal: 'SIGTERM',
  probe: async (port) => {
    const connection = await createConnection({ uri: url(port), connectTimeout: 2_000 });
    await connection.query('select 1');
    await connection.end();
  },
  url,
};

/** A server removes `#sql…` files that it finds in its temporary directory at start, other servers' too. */
function ownTemporaryFiles(directory: string): string[] {
  return [`--tmpdir=${dirname(directory)}`];
}

const runAsRoot = process.getuid?.() === 0 ? ['--user=root'] : [];

function url(port: number): string {
  return `mysql://root@127.0.0.1:${port}`;
}

/** Starts a MariaDB server with an administrator `root` that has no password; `url` names no database. */
export function startMariaDb(options: ServiceOptions = {}): Promise<Service> {
  return Service.start(mariaDb, options);
}
