/** Three replicas as separate processes on a real MySQL 8 (MariaDB, where that cannot be had) and Redis, for tests. */

import type { Test } from 'tap';
import { mariaDbDatabase, mySqlDatabase } from '../services/databases.js';
import { mySqlMissing } from '../services/mysql.js';
import { startRedis } from '../services/redis.js';
import type { Service } from '../services/service.js';
import { waitFor } from '../wait.js';
import { Replica } from './replica.js';

export interface Cluster {
  readonly replicas: readonly Replica[];
  readonly redis: Service;
  readonly settings: Readonly<Record<string, string | number>>;
}

export interface ClusterOptions {
  readonly size?: number;
  readonly settings?: Readonly<Record<string, string | number>>;
  readonly nodeArguments?: readonly string[];
}

/** Starts the cluster and ends it at the test's teardown. */
export async function startCluster(
  t: Test,
  { size = 3, settings = {}, nodeArguments = [] }: ClusterOptions = {},
): Promise<Cluster> {
  const database = (await mySqlMissing('8.0')) === undefined ? await mySqlDatabase(t, '8.0') : await mariaDbDatabase(t);
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const all = {
    'sql.url': database.url,
    'redis.connection': redis.url,
    'kubesvc.cluster': 'redis',
    'kubesvc.drain.timeoutMs': 5_000,
    'kubesvc.drain.reconnectSpreadMs': 0,
    ...settings,
  };
  const replicas = await Promise.all(
    Array.from({ length: size }, (_, index) =>
      Replica.spawn({ id: `gateway-${String(index)}`, settings: all, nodeArguments }),
    ),
  );
  t.teardown(() => Promise.all(replicas.map((replica) => replica.end())));
  await Promise.all(replicas.map((replica) => replica.ready()));
  for (const replica of replicas) {
    await waitFor(
      async () =>
        ((await replica.get('/armory/clouddrivers')) as { ready: boolean }[]).filter(({ ready }) => ready).length ===
        size,
      {
        description: `${replica.id} to know ${String(size)} members`,
      },
    );
  }
  return { replicas, redis, settings: all };
}
