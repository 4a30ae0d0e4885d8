/**
 * What a replica with many agents does: how it takes them, what they cost at rest, and that it comes to rest again after every
 * stall. One replica of the built gateway, MariaDB, Redis and the product's agents, all on one machine.
 */

import { createConnection, type Connection } from 'mysql2/promise';
import { Redis } from 'ioredis';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { simulatedAccount } from '../src/simulate/agents.js';
import { startMariaDb } from '../test/services/mariadb.js';
import { startRedis } from '../test/services/redis.js';
import type { Service } from '../test/services/service.js';
import { waitFor } from '../test/wait.js';
import { Child } from './child.js';
import type { IdleAgentsOptions } from './idle-agents.js';
import { figure, statusOf } from './server-counters.js';
import { createDatabase, startReplicas, type ServerUnderTest } from './servers.js';

export interface ScaleCase {
  readonly agents: number;
  /** Of each agent. */
  readonly accounts: number;
  /** How long it is left alone, in ms. */
  readonly restMs: number;
  /** How long each stall lasts, in ms. */
  readonly stallMs: number;
  readonly stalls: readonly Stall[];
  /** As ReplicasOptions has it. */
  readonly fromSources?: boolean;
}

/** What stops: the replica, the database, Redis, or, with other programs on the cores, everything a little. */
export type Stall = 'replica' | 'database' | 'redis' | 'cores';

export interface ScaleReport extends ScaleCase {
  readonly connectSeconds: number;
  readonly connectCpuSeconds: number;
  readonly statementsPerRegistration: number;
  /** Registrations that were refused, at the start and after the restart. */
  readonly refused: number;
  readonly residentBytesPerAgent: number;
  readonly restCpuPercent: number;
  readonly restStatementsPerSecond: number;
  readonly restCommandsPerSecond: number;
  readonly lostLeases: number;
  readonly listSeconds: number;
  readonly getP50Ms: number;
  readonly getP99Ms: number;
  /** From the end of a stall until everything is at rest, by stall. */
  readonly recoveries: ReadonlyMap<Stall, number>;
  /** From kill -9 until all agents are back and a request is answered. */
  readonly restartSeconds: number;
}

interface Counters {
  readonly at: number;
  readonly cpu: number;
  readonly statements: number;
  readonly commands: number;
}

interface Memory {
  readonly rss: number;
}

const recoveryTimeoutMs = 120_000;
const registrationTimeoutMs = 300_000;
/** The garbage of registrations is gone by then. */
const settleMs = 10_000;
const gets = 300;

export async function measureScale(amounts: ScaleCase, say: (text: string) => void): Promise<ScaleReport> {
  const [mariaDb, redis] = await Promise.all([startMariaDb(), startRedis()]);
  const url = await createDatabase(mariaDb.url, 'scale');
  const { fromSources = false } = amounts;
  const [replica] = await startReplicas(1, url, redis.url, { fromSources });
  const database = await createConnection({ uri: mariaDb.url });
  const commands = new Redis(redis.url);
  const agents = new Child('bench/idle-agents.ts', {
    execArgv: ['--import=tsx'],
    callTimeoutMs: registrationTimeoutMs,
  });
  const cluster = new Scale(amounts, required(replica), agents, mariaDb, redis, database, commands, say);
  try {
    return await cluster.measure();
  } finally {
    await agents.kill();
    await cluster.replica.child.kill();
    await database.end().catch(() => undefined);
    commands.disconnect();
    await redis.stop();
    await mariaDb.stop();
  }
}

function required(replica: ServerUnderTest | undefined): ServerUnderTest {
  if (replica === undefined) throw new Error('no replica was started');
  return replica;
}

class Scale {
  replica: ServerUnderTest;
  readonly #amounts: ScaleCase;
  readonly #agents: Child;
  readonly #mariaDb: Service;
  readonly #redis: Service;
  readonly #database: Connection;
  readonly #commands: Redis;
  readonly #say: (text: string) => void;

  constructor(
    amounts: ScaleCase,
    replica: ServerUnderTest,
    agents: Child,
    mariaDb: Service,
    redis: Service,
    database: Connection,
    commands: Redis,
    say: (text: string) => void,
  ) {
    this.#amounts = amounts;
    this.replica = replica;
    this.#agents = agents;
    this.#mariaDb = mariaDb;
    this.#redis = redis;
    this.#database = database;
    this.#commands = commands;
    this.#say = say;
  }

  async measure(): Promise<ScaleReport> {
    const { agents, accounts, restMs, stalls } = this.#amounts;
    const options: IdleAgentsOptions = { addresses: [this.replica.agentsAddress], agents: 10, objects: 0 };
    // What the first agents make it load and compile is not theirs.
    await this.#agents.call('connect', options);
    await this.#agents.call('disconnect');
    const empty = await this.#memory();
    const before = await this.#counters();
    await this.#agents.call('connect', { ...options, agents, accounts });
    const connected = await this.#counters();
    this.#say(`${agents} agents registered after ${((connected.at - before.at) / 1_000).toFixed(1)} s`);
    await delay(settleMs);
    const residentBytesPerAgent = ((await this.#memory()) - empty) / agents;
    const begin = await this.#counters();
    await delay(restMs);
    const end = await this.#counters();
    const restSeconds = (end.at - begin.at) / 1_000;
    const lostLeases = await this.#metric('agent_gateway_lease_losses_total');
    const listSeconds = await this.#listSeconds();
    const latencies = await this.#latencies();
    const recoveries = new Map<Stall, number>();
    for (const stall of stalls) {
      const seconds = await this.#recover(stall);
      recoveries.set(stall, seconds);
      this.#say(`at rest ${seconds.toFixed(1)} s after a stall: ${stall}`);
    }
    const refusedBefore = await this.#refused();
    const restartSeconds = await this.#restart();
    this.#say(`served again ${restartSeconds.toFixed(1)} s after kill -9`);
    return {
      ...this.#amounts,
      connectSeconds: (connected.at - before.at) / 1_000,
      connectCpuSeconds: (connected.cpu - before.cpu) / 1e6,
      statementsPerRegistration: (connected.statements - before.statements) / agents,
      refused: refusedBefore + (await this.#refused()),
      residentBytesPerAgent,
      restCpuPercent: (end.cpu - begin.cpu) / 1e4 / restSeconds,
      restStatementsPerSecond: (end.statements - begin.statements) / restSeconds,
      restCommandsPerSecond: (end.commands - begin.commands) / restSeconds,
      lostLeases,
      listSeconds,
      getP50Ms: quantile(latencies, 0.5),
      getP99Ms: quantile(latencies, 0.99),
      recoveries,
      restartSeconds,
    };
  }

  async #counters(): Promise<Counters> {
    return {
      at: performance.now(),
      cpu: await this.replica.child.call<number>('cpu'),
      statements: await statusOf(this.#database, 'Questions'),
      commands: await figure(this.#commands, 'stats', 'total_commands_processed'),
    };
  }

  async #memory(): Promise<number> {
    await this.replica.child.call('memory');
    await delay(2_000);
    return (await this.replica.child.call<Memory>('memory')).rss;
  }

  /** @param leaveOut values with this label do not count */
  async #metric(name: string, leaveOut?: string): Promise<number> {
    const response = await request(`${this.replica.baseUrl}/metrics`);
    const text = await response.body.text();
    const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`));
    const counted = leaveOut === undefined ? lines : lines.filter((line) => !line.includes(leaveOut));
    return counted.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  #refused(): Promise<number> {
    return this.#metric('agent_gateway_registrations_total', 'outcome="registered"');
  }

  /** How many agents `GET /armory/agents` shows, all of whose accounts are cached. */
  async #listed(): Promise<number> {
    const response = await request(`${this.replica.baseUrl}/armory/agents`, {
      headersTimeout: 10_000,
      bodyTimeout: 10_000,
    });
    const agents = (await response.body.json()) as { readonly caching: boolean }[];
    return response.statusCode === 200 ? agents.filter(({ caching }) => caching).length : 0;
  }

  async #listSeconds(): Promise<number> {
    const times: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const begin = performance.now();
      const listed = await this.#listed();
      times.push((performance.now() - begin) / 1_000);
      if (listed !== this.#amounts.agents) throw new Error(`GET /armory/agents shows ${listed} agents`);
    }
    return quantile(times, 0.5);
  }

  async #get(index: number): Promise<boolean> {
    const account = simulatedAccount(index % this.#amounts.agents, 0);
    const get = { object: { kind: 'Deployment', namespace: 'shop', name: 'web' } };
    const response = await request(`${this.replica.baseUrl}/armory/agent/operations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json', prefer: 'wait=20' },
      body: JSON.stringify({ operation: { account, get } }),
      headersTimeout: 30_000,
    });
    await response.body.dump();
    return response.statusCode === 200;
  }

  /** Of one caller, who pauses in between: in ms. */
  async #latencies(): Promise<number[]> {
    const latencies: number[] = [];
    for (let index = 0; index < gets + 50; index += 1) {
      const begin = performance.now();
      if (!(await this.#get(index * 37))) throw new Error('a get was not answered');
      if (index >= 50) latencies.push(performance.now() - begin);
      await delay(20);
    }
    return latencies;
  }

  async #recover(stall: Stall): Promise<number> {
    const { stallMs } = this.#amounts;
    const heal = await this.#stall(stall);
    await delay(stallMs);
    await heal();
    const begin = performance.now();
    await this.#atRest();
    return (performance.now() - begin) / 1_000;
  }

  async #stall(stall: Stall): Promise<() => Promise<void> | void> {
    const { pid } = this.replica.child;
    switch (stall) {
      case 'replica':
        process.kill(pid, 'SIGSTOP');
        return () => void process.kill(pid, 'SIGCONT');
      case 'database':
        this.#mariaDb.pause();
        return () => this.#mariaDb.resume();
      case 'redis':
        this.#redis.pause();
        return () => this.#redis.resume();
      case 'cores': {
        const busy = Array.from({ length: 6 }, () => new Child('bench/busy.js'));
        return async () => {
          await Promise.all(busy.map((child) => child.kill()));
        };
      }
    }
  }

  /** All agents are there and cache, requests are answered, and for two seconds hardly a statement is sent. */
  async #atRest(): Promise<void> {
    const { agents } = this.#amounts;
    const rests = async () => {
      const before = await this.#counters();
      await delay(2_000);
      const after = await this.#counters();
      if ((after.statements - before.statements) / ((after.at - before.at) / 1_000) > 20) return false;
      return (await this.#listed()) === agents && (await this.#get(1));
    };
    await waitFor(rests, { timeoutMs: recoveryTimeoutMs, description: 'everything to be at rest' });
  }

  async #restart(): Promise<number> {
    const { agents } = this.#amounts;
    await this.replica.child.kill();
    const begin = performance.now();
    this.replica = await this.replica.restart();
    const back = async () => (await this.#listed()) === agents && (await this.#get(agents - 1));
    await waitFor(back, { timeoutMs: registrationTimeoutMs, intervalMs: 500, description: 'all agents to be back' });
    return (performance.now() - begin) / 1_000;
  }
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
