/** Replicas, agents, a database and a Redis as processes of their own, with proxies between them. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { ReleaseStack } from '../../src/core/release-stack.js';
import { startMariaDb } from '../services/mariadb.js';
import { startRedis } from '../services/redis.js';
import type { Service } from '../services/service.js';
import { waitFor } from '../wait.js';
import { AgentGroup } from './agent-group.js';
import { copySources, type Build } from './build.js';
import { HistoryWriter } from './history.js';
import { ChaosReplica, type Settings } from './replica.js';
import { destroyEndedSockets } from './socket-reset.js';

export interface ClusterOptions {
  readonly seed: number;
  readonly replicas: number;
  /** Made and dialled by agents from the start, and started later by start(). */
  readonly spareReplicas?: number;
  /** Past the proxies: nothing can be cut, and times are those of the gateway. */
  readonly direct?: boolean;
  /** Processes of agents. */
  readonly groups: number;
  /** Accounts in all. Each is served by one agent in each of `perAccount` groups. */
  readonly accounts: number;
  readonly perAccount: number;
  readonly accountsPerAgent: number;
  readonly latencyMs?: number;
  readonly slowMs?: number;
  readonly duplicates?: number;
  /** Clocks of the replicas, in their order, in ms ahead of the real one. */
  readonly skewMs?: readonly number[];
  readonly settings?: Settings;
  /** Sources to run; default: a copy of the tree as it is. */
  readonly build?: Build;
  /** Keeps histories and logs. */
  readonly keepFiles?: boolean;
}

/** Lease and pings of the suite: those of a default installation, halved, so that runs are shorter. */
export const chaosSettings: Settings = {
  'kubesvc.instances.heartbeatMs': 1_000,
  'kubesvc.instances.leaseMs': 5_000,
  'kubesvc.drain.timeoutMs': 20_000,
  'kubesvc.drain.reconnectSpreadMs': 2_000,
  'redis.keyPrefix': 'chaos:',
};

const readyTimeoutMs = 60_000;
const databaseName = 'chaos';

export class ChaosCluster {
  readonly directory: string;
  readonly history: HistoryWriter;
  readonly database: Service;
  readonly redis: Service;
  readonly replicas: ChaosReplica[] = [];
  readonly groups: AgentGroup[] = [];
  readonly options: ClusterOptions;
  readonly #build: Build;
  readonly #scope: ReleaseStack;

  private constructor(
    options: ClusterOptions,
    parts: {
      directory: string;
      history: HistoryWriter;
      database: Service;
      redis: Service;
      build: Build;
      scope: ReleaseStack;
    },
  ) {
    this.options = options;
    this.directory = parts.directory;
    this.history = parts.history;
    this.database = parts.database;
    this.redis = parts.redis;
    this.#build = parts.build;
    this.#scope = parts.scope;
  }

  /** Starts everything and waits until all agents are registered. What was started is released when it fails. */
  static async start(options: ClusterOptions): Promise<ChaosCluster> {
    destroyEndedSockets();
    const scope = new ReleaseStack();
    try {
      const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-chaos-'));
      if (options.keepFiles !== true)
        scope.push('files', () => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
      const build = options.build ?? (await copySources());
      if (options.build === undefined) scope.push('build', () => build.remove());
      const history = new HistoryWriter(directory, 'runner');
      scope.push('history', () => history.close());
      const database = await startMariaDb();
      scope.push('database', () => database.stop());
      const redis = await startRedis();
      scope.push('redis', () => redis.stop());
      const connection = await createConnection({ uri: database.url });
      await connection.query(`create database ${databaseName} character set utf8mb4`);
      await connection.end();
      const cluster = new ChaosCluster(options, { directory, history, database, redis, build, scope });
      await cluster.#start();
      return cluster;
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  get databaseUrl(): string {
    return `${this.database.url}/${databaseName}`;
  }

  get accounts(): string[] {
    return Array.from({ length: this.options.accounts }, (_, index) => `account-${index}`);
  }

  /** Replicas that callers may be sent to: those whose process runs, frozen or not. */
  get running(): ChaosReplica[] {
    return this.replicas.filter(({ running }) => running);
  }

  /** Kinds of the replicas' connections by port. */
  get ports(): ReadonlyMap<number, string> {
    return new Map(this.replicas.flatMap(({ ports }) => ports));
  }

  /** Calls it first of all at stop(). */
  beforeStop(name: string, release: () => Promise<void>): void {
    this.#scope.push(name, release);
  }

  stop(): Promise<void> {
    return this.#scope.close();
  }

  /** Starts the spare replicas. */
  async startSpares(): Promise<void> {
    for (const replica of this.replicas) if (!replica.wanted) replica.start();
    await this.allReady();
  }

  /** Every replica that was started is ready and knows all the others. */
  async allReady(): Promise<void> {
    const wanted = this.replicas.filter((replica) => replica.wanted);
    await Promise.all(wanted.map((replica) => replica.ready(readyTimeoutMs)));
    for (const replica of wanted) {
      await waitFor(async () => (await replica.members()) === wanted.length, {
        timeoutMs: readyTimeoutMs,
        intervalMs: 100,
        description: `${replica.id} to know ${wanted.length} members`,
      });
    }
  }

  async agentsReady(): Promise<void> {
    await Promise.all(this.groups.map((group) => group.ready(readyTimeoutMs)));
  }

  /** Ends every failure: what was killed or frozen runs again, every connection is whole. */
  async heal(): Promise<void> {
    this.database.resume();
    this.redis.resume();
    for (const replica of this.replicas) {
      if (!replica.wanted) continue;
      await replica.heal();
      replica.process.thaw();
      if (!replica.running) replica.start();
    }
    for (const group of this.groups) {
      group.process.thaw();
      if (!group.process.running) group.start();
    }
    await this.allReady();
    await this.agentsReady();
  }

  async #start(): Promise<void> {
    const { replicas, spareReplicas = 0, settings = {}, skewMs = [], direct = false } = this.options;
    for (let index = 0; index < replicas + spareReplicas; index += 1) {
      const replica = await ChaosReplica.create({
        id: `gateway-${index}`,
        build: this.#build.directory,
        directory: this.directory,
        history: this.history,
        databasePort: this.database.port,
        databaseName,
        redisPort: this.redis.port,
        settings: { ...chaosSettings, ...settings },
        skewMs: skewMs[index] ?? 0,
        direct,
      });
      this.#scope.push(replica.id, () => replica.end());
      this.replicas.push(replica);
      if (index < replicas) replica.start();
    }
    await this.allReady();
    for (const [index, agents] of layAgents(this.options).entries()) {
      this.groups.push(this.#startGroup(`agents-${index}`, agents, this.options.seed + index * 1_000));
    }
    await this.agentsReady();
  }

  /** Starts a process whose agents have the ids and the accounts of a group that runs; it is no group of the cluster. */
  startRivals({ name, agents }: AgentGroup): AgentGroup {
    return this.#startGroup(`rivals-of-${name}`, agents, this.options.seed + 500);
  }

  #startGroup(name: string, agents: AgentGroup['agents'], seed: number): AgentGroup {
    const group = new AgentGroup({
      name,
      agents,
      build: this.#build.directory,
      directory: this.directory,
      history: this.history,
      addresses: this.replicas.map(({ agentsAddress }) => agentsAddress),
      latencyMs: this.options.latencyMs ?? 30,
      slowMs: this.options.slowMs ?? 1_000,
      duplicates: this.options.duplicates ?? 0,
      seed,
    });
    this.#scope.push(group.name, () => group.end());
    group.start();
    return group;
  }
}

/** Agents by group: chunks of accounts, each chunk in `perAccount` groups that follow each other. */
function layAgents({ groups, accounts, accountsPerAgent, perAccount }: ClusterOptions) {
  const laid: { id: string; accounts: string[] }[][] = Array.from({ length: groups }, () => []);
  for (let first = 0; first < accounts; first += accountsPerAgent) {
    const names = Array.from(
      { length: Math.min(accountsPerAgent, accounts - first) },
      (_, index) => `account-${first + index}`,
    );
    const chunk = first / accountsPerAgent;
    for (let copy = 0; copy < perAccount; copy += 1) {
      const group = (chunk + copy) % groups;
      laid[group]?.push({ id: `agent-${chunk}-${copy}`, accounts: names });
    }
  }
  return laid;
}
