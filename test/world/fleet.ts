/** Replicas and agents that can be lost in every way, behind addresses that stay: what Services and load balancers are to them. */

import type { Test } from 'tap';
import { AgentProcess } from '../cluster/agent-process.js';
import { startCluster, type Cluster } from '../cluster/cluster.js';
import { Replica } from '../cluster/replica.js';
import { mariaDbDatabase } from '../services/databases.js';
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.js';
import { waitFor } from '../wait.js';
import { startFront, type Front } from './front.js';

/** Node.js starts slowly when many do at the same time. */
const slowStartMs = 180_000;

/** One agent, with the network between it and the gateway. */
interface FleetAgent {
  readonly account: string;
  readonly network: TcpProxy;
  process: AgentProcess;
  /** How many processes there have been. */
  started: number;
}

export class Fleet {
  /** For callers. */
  readonly rest: Front;
  readonly #t: Test;
  readonly #kubeConfigFile: string;
  readonly #agentsFront: Front;
  readonly #cluster: Cluster;
  readonly #database: TcpProxy;
  readonly #replicas: Replica[];
  readonly #agents: FleetAgent[] = [];
  #started: number;

  private constructor(parts: {
    readonly t: Test;
    readonly kubeConfigFile: string;
    readonly cluster: Cluster;
    readonly database: TcpProxy;
    readonly fronts: readonly [rest: Front, agents: Front];
  }) {
    this.#t = parts.t;
    this.#kubeConfigFile = parts.kubeConfigFile;
    this.#cluster = parts.cluster;
    this.#database = parts.database;
    [this.rest, this.#agentsFront] = parts.fronts;
    this.#replicas = [...parts.cluster.replicas];
    this.#started = this.#replicas.length;
    this.#serve(this.#replicas);
  }

  /** Three replicas on MariaDB and Redis, and an agent for each account. */
  static async start(t: Test, kubeConfigFile: string, accounts: readonly string[]): Promise<Fleet> {
    const url = new URL((await mariaDbDatabase(t)).url);
    const database = await startTcpProxy({ port: Number(url.port) });
    t.teardown(() => database.close());
    url.port = String(database.port);
    const cluster = await startCluster(t, { settings: { 'sql.url': url.href } });
    const fronts = [await startFront(t), await startFront(t)] as const;
    const fleet = new Fleet({ t, kubeConfigFile, cluster, database, fronts });
    for (const account of accounts) await fleet.#addAgent(account);
    await fleet.whole();
    return fleet;
  }

  get accounts(): readonly string[] {
    return this.#agents.map(({ account }) => account);
  }

  /** Waits until every replica knows an agent of every account. */
  async whole(): Promise<void> {
    for (const replica of this.#replicas) {
      const served = async (): Promise<boolean> => {
        const agents = (await replica.get('/armory/agents')) as { accounts: { name: string }[] }[];
        const names = new Set(JSON.stringify(agents.map(({ accounts }) => accounts)).match(/account-\d+/gu));
        return this.#agents.every(({ account }) => names.has(account));
      };
      await waitFor(served, {
        timeoutMs: slowStartMs,
        intervalMs: 500,
        description: `${replica.id} to know an agent of every account`,
      });
    }
  }

  /** Ends a replica, and starts another one in its place, as a Deployment does. */
  async replaceReplica(index: number, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const replica = this.#replicas[index];
    if (replica === undefined) throw new Error(`no replica ${String(index)}`);
    // A Service takes one that ends in order out before its end, and one that dies after it: that is the cluster's part.
    this.#serve(this.#replicas.filter((one) => one !== replica));
    await replica.end(signal);
    const next = await Replica.spawn({
      id: `gateway-${String(this.#started)}`,
      settings: this.#cluster.settings,
      restPort: Number(new URL(replica.restUrl).port),
      agentsPort: Number(replica.agentsAddress.split(':')[1]),
    });
    this.#started += 1;
    this.#t.teardown(() => next.end());
    this.#replicas[index] = await waitFor(() => next.ready(), { timeoutMs: slowStartMs, description: next.id });
    this.#serve(this.#replicas);
  }

  /** A new release: every replica is replaced, one after the other. */
  async upgradeReplicas(): Promise<void> {
    for (const index of this.#replicas.keys()) await this.replaceReplica(index, 'SIGTERM');
  }

  /** A crash: the same pod starts again. */
  async killAgent(index: number): Promise<void> {
    const agent = this.#agent(index);
    await agent.process.end('SIGKILL');
    agent.process = await this.#startAgent(agent);
  }

  /** A new release: the old pod is told to go when the new one has connected. */
  async upgradeAgent(index: number): Promise<void> {
    const agent = this.#agent(index);
    const old = agent.process;
    agent.started += 1;
    agent.process = await this.#startAgent(agent);
    const { process } = agent;
    await waitFor(() => process.log.some(({ msg }) => msg.includes('registered')), {
      timeoutMs: slowStartMs,
      description: `the new agent of ${agent.account} to connect: ${process.errors}`,
    });
    await old.end('SIGTERM');
  }

  /** No packet passes between the agent and the gateway for a while. */
  async withoutNetwork(index: number, meanwhile: () => Promise<void>): Promise<void> {
    const { network } = this.#agent(index);
    network.stall();
    await meanwhile();
    await network.heal();
  }

  async withoutDatabase(meanwhile: () => Promise<void>): Promise<void> {
    await this.#database.cut();
    await meanwhile();
    await this.#database.heal();
    for (const replica of this.#replicas) await replica.ready();
  }

  async withoutRedis(meanwhile: () => Promise<void>): Promise<void> {
    await this.#cluster.redis.kill();
    await meanwhile();
    await this.#cluster.redis.restart();
  }

  #serve(replicas: readonly Replica[]): void {
    this.rest.ready(replicas.map(({ restUrl }) => restUrl));
    this.#agentsFront.ready(replicas.map(({ agentsAddress }) => `http://${agentsAddress}`));
  }

  #agent(index: number): FleetAgent {
    const agent = this.#agents[index % this.#agents.length];
    if (agent === undefined) throw new Error('no agents');
    return agent;
  }

  async #addAgent(account: string): Promise<void> {
    const network = await startTcpProxy({ port: Number(new URL(this.#agentsFront.url).port) });
    this.#t.teardown(() => network.close());
    const agent = { account, network, started: 1 };
    this.#agents.push({ ...agent, process: await this.#startAgent(agent) });
  }

  #startAgent({ account, network, started }: Omit<FleetAgent, 'process'>): Promise<AgentProcess> {
    return AgentProcess.start(this.#t, {
      agentId: `agent-of-${account}-${String(started)}`,
      addresses: [`127.0.0.1:${String(network.port)}`],
      // Of what it caches nothing is looked at here.
      accounts: [{ name: account, kubeConfigFile: this.#kubeConfigFile, apiAccess: 'full', kinds: ['ConfigMap'] }],
    });
  }
}
