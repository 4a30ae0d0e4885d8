/**
 * `npm run bench [-- --quick] [-- --no-targets] [-- --profile DIRECTORY] [-- --only PART] [-- --node VERSION]`: see docs/benchmarks.md.
 * Exit code 1 when a target is missed, or when anything that is measured fails.
 */

import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ReleaseStack } from '../src/core/release-stack.js';
import { ensurePackages, mariaDbAndRedis } from '../test/services/packages.js';
import { progress } from '../test/services/progress.js';
import { measureCaching } from './caching.js';
import { Child } from './child.js';
import { mariaDbEngine } from './engines.js';
import { describeMachine } from './machine.js';
import { measureMemory } from './memory.js';
import type { OwnershipReport } from './ownership.js';
import {
  amountsOf,
  cachedObjects,
  judge,
  measuredLatency,
  measuredStart,
  parts,
  startStores,
  watchingAgent,
  type Bench,
} from './parts.js';
import { nodeProgram } from './nodes.js';
import { profileCases } from './profile.js';
import { cachingTable, cachingTargets, databaseTable, memoryTable, targetsOf, throughputTable } from './report.js';
import { createDatabase, nodeVariable, startBare, startReplicas } from './servers.js';
import { startServers } from './started-servers.js';
import { measureThroughput } from './throughput.js';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    'no-targets': { type: 'boolean', default: false },
    profile: { type: 'string' },
    only: { type: 'string' },
    node: { type: 'string' },
  },
});

const bench: Bench = {
  quick: flags.quick,
  strict: !flags['no-targets'],
  profile: flags.profile,
  node: flags.node,
  say: (text) => {
    process.stdout.write(`${text}\n`);
  },
};
/** The first part of the whole, which can be had alone as well. */
const operations = 'operations';
const idleAgents = 1_000;
const ownershipAccounts = 1_000_000;

/** One part by itself. */
function only(name: string, scope: ReleaseStack): Promise<boolean> {
  if (name === operations) return whole(scope);
  const part = parts.get(name);
  if (part === undefined) throw new Error(`--only takes ${[operations, ...parts.keys()].join(', ')}; not ${name}`);
  return part(bench, scope);
}

async function whole(scope: ReleaseStack): Promise<boolean> {
  const { say } = bench;
  const startedAt = performance.now();
  const stores = await startStores(scope);
  const { mariaDb, redis } = stores;
  const bare = await startBare();
  scope.push('bare stack', () => bare.child.stop());
  const started = await startServers(bare, stores, 'bench', scope);
  const { servers, load, processes } = started;

  if (bench.profile !== undefined) {
    mkdirSync(bench.profile, { recursive: true });
    say(await profileCases(servers, load, bench.profile));
    return true;
  }
  const throughput = await progress('measuring throughput', () => measureThroughput(servers, load, amountsOf(bench)));
  say(`\n${throughputTable(throughput)}\n\n${databaseTable(throughput)}\n`);
  const latencyTargets = await measuredLatency(bench, started);
  for (const child of [...processes, bare.child]) await child.stop();
  if (flags.only === operations) return judge(bench, latencyTargets);

  const measured = async (name: string, objects: number, apiAccess?: 'off') => {
    const [alone] = await startReplicas(1, await createDatabase(mariaDb.url, name), redis.url);
    if (alone === undefined) throw new Error('no replica was started');
    scope.push('server', () => alone.child.stop());
    const memory = await progress('measuring memory', () => measureMemory(alone, idleAgents, objects, apiAccess));
    await alone.child.stop();
    return memory;
  };
  const memory = await measured('bench_memory', 0);
  const memoryWithoutApi = await measured('bench_memory_without_api', 0, 'off');
  const cachingMemory = await measured('bench_caching_memory', 1);
  const caching = await progress('measuring caching', () =>
    measureCaching(redis.url, cachedObjects(bench), mariaDbEngine),
  );

  const startTargets = await measuredStart(bench, mariaDb.url, redis.url);
  const map = new Child('bench/ownership.ts', { execArgv: ['--import=tsx', '--expose-gc'] });
  scope.push('worker', () => map.stop());
  const argument = { accounts: ownershipAccounts, agents: 50_000, instances: 50 };
  const ownership = await map.call<OwnershipReport>('measure', argument);

  const report = { throughput, memory, memoryWithoutApi, cachingMemory, ownership, ownershipAccounts };
  say(`${memoryTable(report)}\n`);
  say(`${cachingTable([caching])}\n`);
  const met = judge(bench, [...targetsOf(report), ...latencyTargets, ...cachingTargets([caching]), ...startTargets]);
  const agentMeets = await watchingAgent(bench, redis.url);
  say(`\n${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
  return met && agentMeets;
}

const scope = new ReleaseStack();
try {
  bench.say(describeMachine().join('\n'));
  await ensurePackages({ names: mariaDbAndRedis });
  if (flags.node !== undefined) {
    process.env[nodeVariable] = await nodeProgram(flags.node);
    bench.say(`Servers on Node.js ${flags.node}`);
  }
  process.exitCode = (await (flags.only === undefined ? whole(scope) : only(flags.only, scope))) ? 0 : 1;
} finally {
  await scope.close();
}
