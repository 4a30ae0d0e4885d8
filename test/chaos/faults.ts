/**
 * What is done to a cluster. A fault is planned from a seed alone, so that the same seed breaks the same things for
 * the same time in the same order; then it is injected, and healed before its promise resolves.
 */

import { monotonicMs } from './history.js';
import { setTimeout as delay } from 'node:timers/promises';
import { pick } from '../../src/simulate/random.js';
import type { ChaosCluster } from './cluster.js';
import type { ChaosReplica } from './replica.js';

export interface PlannedFault {
  readonly name: FaultName;
  /** Two faults of the same target are not injected at the same time: one would heal the other. */
  readonly target: string;
  /** How, and how long. */
  readonly detail: string;
  inject(): Promise<void>;
}

type Plan = (cluster: ChaosCluster, random: () => number) => Omit<PlannedFault, 'name'>;

/** Longer than the suite's lease of 5 s, and than three pings. */
const longFreezeMs = [7_000, 9_000] as const;
const shortMs = [300, 2_000] as const;
const longMs = [5_500, 8_000] as const;
const readyTimeoutMs = 60_000;

const between = ([least, most]: readonly [number, number], random: () => number): number =>
  Math.round(least + (most - least) * random());

const restartPauseMs = 500;

async function restartAfter(replica: ChaosReplica, ms: number): Promise<void> {
  await delay(ms);
  const until = monotonicMs() + readyTimeoutMs;
  for (;;) {
    replica.start();
    try {
      await replica.ready(Math.max(1, until - monotonicMs()));
      return;
    } catch (error) {
      // One that finds no database ends, as it should, and is started again, as Kubernetes does.
      if (replica.running || monotonicMs() > until) throw error;
      await delay(restartPauseMs);
    }
  }
}

/** Breaks something of one replica, chosen by the seed, for a time. */
function onReplica(
  range: readonly [number, number],
  breaks: (replica: ChaosReplica) => void | Promise<void>,
  heals: (replica: ChaosReplica) => void | Promise<void>,
): Plan {
  return (cluster, random) => {
    const replica = pick(cluster.replicas, random);
    const ms = between(range, random);
    return {
      target: replica.id,
      detail: `for ${ms} ms`,
      inject: async () => {
        await breaks(replica);
        await delay(ms);
        await heals(replica);
      },
    };
  };
}

const catalogue = {
  'replica killed': (cluster, random) => {
    const replica = pick(cluster.replicas, random);
    const ms = between([0, 3_000], random);
    return {
      target: replica.id,
      detail: `started again after ${ms} ms`,
      inject: async () => {
        await replica.process.kill();
        await restartAfter(replica, ms);
      },
    };
  },
  'replica frozen beyond its lease': onReplica(
    longFreezeMs,
    (replica) => replica.process.freeze(),
    (replica) => replica.process.thaw(),
  ),
  'replica frozen for a moment': onReplica(
    shortMs,
    (replica) => replica.process.freeze(),
    (replica) => replica.process.thaw(),
  ),
  'replica terminated': (cluster, random) => {
    const replica = pick(cluster.replicas, random);
    return {
      target: replica.id,
      detail: 'in order',
      inject: async () => {
        await replica.process.terminate(30_000);
        await restartAfter(replica, 0);
      },
    };
  },
  'agents killed': (cluster, random) => {
    const group = pick(cluster.groups, random);
    const ms = between(shortMs, random);
    return {
      target: group.name,
      detail: `started again after ${ms} ms`,
      inject: async () => {
        await group.process.kill();
        await delay(ms);
        group.start();
        await group.ready(readyTimeoutMs);
      },
    };
  },
  'agents frozen': (cluster, random) => {
    const group = pick(cluster.groups, random);
    const ms = between(longFreezeMs, random);
    return {
      target: group.name,
      detail: `for ${ms} ms`,
      inject: async () => {
        group.process.freeze();
        await delay(ms);
        group.process.thaw();
      },
    };
  },
  'agents half-open': onReplica(
    longMs,
    (replica) => replica.proxies.agents.stall(),
    (replica) => replica.proxies.agents.heal(),
  ),
  'agents cut off': onReplica(
    shortMs,
    (replica) => replica.proxies.agents.cut(),
    (replica) => replica.proxies.agents.heal(),
  ),
  'agents cut off unnoticed': onReplica(
    longMs,
    (replica) => replica.proxies.agents.cutUnnoticed(),
    (replica) => replica.proxies.agents.heal(),
  ),
  'peers cut off': onReplica(
    longMs,
    (replica) => replica.proxies.peers.cut(),
    (replica) => replica.proxies.peers.heal(),
  ),
  'peers half-open': onReplica(
    longMs,
    (replica) => replica.proxies.peers.stall(),
    (replica) => replica.proxies.peers.heal(),
  ),
  'Redis killed': (cluster, random) => {
    const ms = between([0, 3_000], random);
    return {
      target: 'Redis',
      detail: `empty again after ${ms} ms`,
      inject: async () => {
        await cluster.redis.kill();
        await delay(ms);
        await cluster.redis.restart();
      },
    };
  },
  'Redis frozen': (cluster, random) => {
    const ms = between(longMs, random);
    return {
      target: 'Redis',
      detail: `for ${ms} ms`,
      inject: async () => {
        cluster.redis.pause();
        await delay(ms);
        cluster.redis.resume();
      },
    };
  },
  'Redis cut off': onReplica(
    longMs,
    (replica) => replica.proxies.redis.cut(),
    (replica) => replica.proxies.redis.heal(),
  ),
  'Redis half-open': onReplica(
    longMs,
    (replica) => replica.proxies.redis.stall(),
    (replica) => replica.proxies.redis.heal(),
  ),
  'Redis slow': (cluster, random) => {
    const [late, ms] = [between([50, 400], random), between(longMs, random)];
    return {
      target: 'Redis',
      detail: `${late} ms later for ${ms} ms`,
      inject: async () => {
        for (const { proxies } of cluster.replicas) proxies.redis.delay(late);
        await delay(ms);
        for (const { proxies } of cluster.replicas) proxies.redis.delay(0);
      },
    };
  },
  'database killed': (cluster, random) => {
    const ms = between([0, 1_500], random);
    return {
      target: 'database',
      detail: `started again after ${ms} ms`,
      inject: async () => {
        await cluster.database.kill();
        await delay(ms);
        await cluster.database.restart();
      },
    };
  },
  'database restarted': (cluster) => ({
    target: 'database',
    detail: 'in order',
    inject: () => cluster.database.restart(),
  }),
  'database fails over': (cluster, random) => {
    const ms = between(shortMs, random);
    return {
      target: 'database',
      detail: `connections cut and refused for ${ms} ms`,
      inject: async () => {
        await Promise.all(cluster.replicas.map(({ proxies }) => proxies.database.cut()));
        await delay(ms);
        await Promise.all(cluster.replicas.map(({ proxies }) => proxies.database.heal()));
      },
    };
  },
  'database slow': (cluster, random) => {
    const [late, ms] = [between([20, 150], random), between(longMs, random)];
    return {
      target: 'database',
      detail: `${late} ms later for ${ms} ms`,
      inject: async () => {
        for (const { proxies } of cluster.replicas) proxies.database.delay(late);
        await delay(ms);
        for (const { proxies } of cluster.replicas) proxies.database.delay(0);
      },
    };
  },
  'database half-open': onReplica(
    longMs,
    (replica) => replica.proxies.database.stall(),
    (replica) => replica.proxies.database.heal(),
  ),
  'database cut off': onReplica(
    longMs,
    (replica) => replica.proxies.database.cut(),
    (replica) => replica.proxies.database.heal(),
  ),
} satisfies Record<string, Plan>;

export type FaultName = keyof typeof catalogue;

export const faultNames = Object.keys(catalogue) as FaultName[];

/** @param random of the run's seed; takes the same number of draws for the same fault */
export function planFault(name: FaultName, cluster: ChaosCluster, random: () => number): PlannedFault {
  return { name, ...catalogue[name](cluster, random) };
}

/** Injects and heals it, and writes both down. */
export async function runFault(fault: PlannedFault, { history }: ChaosCluster): Promise<void> {
  const { name, target, detail } = fault;
  history.append({ type: 'fault', name, phase: 'begin', detail: `${target} ${detail}` });
  await fault.inject();
  history.append({ type: 'fault', name, phase: 'end' });
}
