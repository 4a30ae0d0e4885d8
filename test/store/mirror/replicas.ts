/** What mirror tests are made of: SQL as a Map, and replicas that share it and a Redis. */

import { Redis, type Cluster } from 'ioredis';
import { GatewayError } from '../../../src/core/errors.js';
import { silentLogger, type Logger } from '../../../src/core/logger.js';
import { OwnershipService, type OwnershipServiceOptions } from '../../../src/gateway/agents/ownership.js';
import type { ClaimRequest } from '../../../src/store/assignments/claim.js';
import { OwnershipMap } from '../../../src/store/mirror/ownership-map.js';
import type { OwnershipTruth } from '../../../src/store/mirror/rebuild.js';
import type { MirrorSettings } from '../../../src/store/mirror/mirror-settings.js';
import { RedisMirror } from '../../../src/store/mirror/redis-mirror.js';
import { redisOptions } from '../../../src/store/mirror/redis-options.js';
import type { AccountRegistration } from '../../../src/store/accounts/account-record.js';
import type { Assignment, Connection, Ownership } from '../../../src/store/assignments/ownership.js';
import type { ReleaseRequest } from '../../../src/store/assignments/release.js';
import { waitFor } from '../../wait.js';

/** SQL's rules of ownership in memory: one version per account, the first agent caches. */
export class TruthDouble implements OwnershipTruth {
  readonly accounts = new Map<string, Ownership>();
  readonly finds: (readonly string[])[] = [];
  pages = 0;
  /** Throws in every question while set. */
  failure: Error | undefined;
  /** Every answer waits for it. */
  gate: Promise<void> = Promise.resolve();

  async find(accounts: readonly string[]): Promise<Map<string, Ownership>> {
    this.finds.push(accounts);
    await this.gate;
    if (this.failure !== undefined) throw this.failure;
    const found = accounts.map((account) => this.accounts.get(account)).filter((entry) => entry !== undefined);
    return new Map(found.map((entry) => [entry.account, entry]));
  }

  async page(afterAccount: string, limit: number): Promise<Ownership[]> {
    this.pages += 1;
    await this.gate;
    if (this.failure !== undefined) throw this.failure;
    const names = [...this.accounts.keys()].filter((name) => name > afterAccount).sort();
    return names.slice(0, limit).flatMap((name) => this.accounts.get(name) ?? []);
  }

  async claim(connection: Connection, accounts: readonly AccountRegistration[]): Promise<Ownership[]> {
    await this.gate;
    if (this.failure !== undefined) throw this.failure;
    const { agentId, instanceId, epoch } = connection;
    return accounts.map(({ name }) => {
      const others = this.#others(name, agentId);
      const caching = !others.some((other) => other.caching);
      return this.#change(name, [...others, { agentId, instanceId, epoch, caching }]);
    });
  }

  async release(
    connection: ReleaseRequest['connection'],
    accounts: readonly string[],
    _cachesForMs: number,
  ): Promise<Ownership[]> {
    await this.gate;
    if (this.failure !== undefined) throw this.failure;
    return accounts.flatMap((name) => {
      const assignments = this.accounts.get(name)?.assignments ?? [];
      if (!assignments.some(({ epoch }) => epoch === connection.epoch)) return [];
      return [this.#change(name, this.#others(name, connection.agentId))];
    });
  }

  claimAll(requests: readonly ClaimRequest[]): Promise<Ownership[][]> {
    return Promise.all(requests.map(({ connection, accounts }) => this.claim(connection, accounts)));
  }

  async releaseAll(requests: readonly ReleaseRequest[]): Promise<Ownership[]> {
    const released = await Promise.all(
      requests.map(({ connection, accounts, cachesForMs }) => this.release(connection, accounts, cachesForMs)),
    );
    return released.flat();
  }

  ofInstance(instanceId: string, afterAccount: string, limit: number): Promise<Ownership[]> {
    const own = [...this.accounts.values()].filter(
      ({ account, assignments }) =>
        account > afterAccount && assignments.some((assignment) => assignment.instanceId === instanceId),
    );
    return Promise.resolve(own.toSorted((a, b) => (a.account < b.account ? -1 : 1)).slice(0, limit));
  }

  releaseInstance(): Promise<Ownership[]> {
    return Promise.resolve([]);
  }

  electCachers(): Promise<Ownership[]> {
    return Promise.resolve([]);
  }

  electionTold(): Promise<void> {
    return Promise.resolve();
  }

  fill(count: number): void {
    for (let index = 0; index < count; index += 1) {
      const epoch = 1 + (index % 100);
      const account = `account-${String(index).padStart(7, '0')}`;
      const assignments = [{ agentId: `agent-${epoch}`, instanceId: 'gateway-0', epoch, caching: true }];
      this.accounts.set(account, { account, version: 1, assignments });
    }
  }

  #others(account: string, agentId: string): Assignment[] {
    return (this.accounts.get(account)?.assignments ?? []).filter((assignment) => assignment.agentId !== agentId);
  }

  #change(account: string, assignments: readonly Assignment[]): Ownership {
    const version = (this.accounts.get(account)?.version ?? 0) + 1;
    const ownership = { account, version, assignments };
    this.accounts.set(account, ownership);
    return ownership;
  }
}

/** One claim. @throws GatewayError why it is refused */
export async function claim(
  service: OwnershipService,
  connection: Connection,
  accounts: readonly AccountRegistration[],
  signal: AbortSignal,
): Promise<readonly Ownership[]> {
  const [outcome = []] = await service.claimAll([{ connection, accounts }], signal);
  if (outcome instanceof GatewayError) throw outcome;
  return outcome;
}

/** One release of an agent that has stopped caching. */
export function release(
  service: OwnershipService,
  connection: Connection,
  accounts: readonly string[],
  signal: AbortSignal,
): Promise<readonly Ownership[]> {
  return service.releaseAll([{ connection, accounts, cachesForMs: 0 }], signal);
}

export interface Replica {
  readonly map: OwnershipMap;
  readonly mirror: RedisMirror;
  readonly service: OwnershipService;
  readonly redis: Redis | Cluster;
  stop(): Promise<void>;
}

export interface ReplicaOptions {
  /** Of the Redis, unless `redis` is given. */
  readonly url?: string;
  readonly truth: OwnershipTruth & OwnershipServiceOptions['assignments'];
  readonly settings?: Partial<MirrorSettings>;
  readonly logger?: Logger;
  readonly redis?: Redis | Cluster;
}

/** Checks often, so that tests need not wait long. */
export const quick: Partial<MirrorSettings> = {
  checkIntervalMs: 50,
  commandTimeoutMs: 400,
  reloadSpreadMs: 10,
  backoff: { initialMs: 20, maximumMs: 100, multiplier: 1.5, jitter: 0.2 },
};

export function testRedis(url: string): Redis {
  return new Redis(url, { ...redisOptions, retryStrategy: () => 50, socketTimeout: 1_000 });
}

/** A client whose subscription passes every message through `deliver`, which says what arrives in its place. */
export function tamperedRedis(url: string, deliver: (text: string) => readonly string[]): Redis {
  const redis = testRedis(url);
  redis.duplicate = (override) => {
    const subscriber = Redis.prototype.duplicate.call(redis, override) as Redis;
    const emit = subscriber.emit.bind(subscriber);
    subscriber.emit = (event: string | symbol, ...given: unknown[]): boolean => {
      if (event !== 'message') return emit(event, ...given);
      for (const text of deliver(String(given[1]))) emit('message', given[0], text);
      return true;
    };
    return subscriber;
  };
  return redis;
}

export async function startReplica(
  t: { teardown(release: () => Promise<void>): unknown },
  options: ReplicaOptions,
): Promise<Replica> {
  const { url = '', truth, settings, logger = silentLogger, redis = testRedis(url) } = options;
  const map = new OwnershipMap();
  const mirror = new RedisMirror({ redis, map, truth, logger, settings: { ...quick, ...settings } });
  const service = new OwnershipService({ assignments: truth, map, mirror, logger });
  await mirror.start();
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= mirror.stop().finally(() => {
      redis.disconnect();
    });
    return stopped;
  };
  t.teardown(stop);
  return { map, mirror, service, redis, stop };
}

/** Waits until the replica is live and its map is exactly what SQL says. */
export async function untilEqual(replica: Replica, truth: TruthDouble, timeoutMs = 8_000): Promise<void> {
  const description = 'the map to be what SQL says';
  await waitFor(() => replica.mirror.state.name === 'live' && isEqual(replica.map, truth), { timeoutMs, description });
}

export function isEqual(map: OwnershipMap, truth: TruthDouble): boolean {
  if (map.size !== truth.accounts.size) return false;
  return [...truth.accounts.values()].every(
    (entry) => JSON.stringify(map.get(entry.account)) === JSON.stringify(entry),
  );
}

export function connection(epoch: number, agentId = `agent-${epoch}`, instanceId = 'gateway-0'): Connection {
  return { instanceId, agentId, zoneId: 'zone', epoch };
}

export function registrations(...names: string[]): AccountRegistration[] {
  return names.map((name) => ({
    name,
    kubeHost: 'https://kubernetes',
    kubeVersion: '1.33',
    certFingerprint: '',
    maxWatchAgeSeconds: 0,
    namespaces: [],
    properties: {},
  }));
}
