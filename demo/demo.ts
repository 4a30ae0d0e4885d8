/**
 * `npm run demo`: three replicas as processes of their own on a private MariaDB and Redis, 30 simulated agents, a load
 * across the replicas, and what happens when one replica is killed. Ends by itself in under two minutes.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { startMariaDb } from '../test/services/mariadb.js';
import { ensurePackages } from '../test/services/packages.js';
import { startRedis } from '../test/services/redis.js';
import { ReleaseStack } from '../src/core/release-stack.js';
import { startSimulatedAgents } from '../src/simulate/agents.js';
import type { LoadReport } from '../src/simulate/load-report.js';
import { runLoad } from '../src/simulate/load.js';
import { waitFor } from '../test/wait.js';
import { Replica } from '../test/cluster/replica.js';

const agentCount = 30;
const accountsPerAgent = 2;
const loadMs = 15_000;
const deadlineMs = 110_000;

const say = (line: string) => process.stdout.write(`${line}\n`);

async function demo(scope: ReleaseStack, signal: AbortSignal): Promise<void> {
  ensurePackages();
  say('Starting a private MariaDB and Redis ...');
  const [mariaDb, redis] = await Promise.all([startMariaDb(), startRedis()]);
  scope.push('mariadb', () => mariaDb.stop());
  scope.push('redis', () => redis.stop());

  say('Starting three replicas of the gateway ...');
  const settings = {
    'sql.url': `${mariaDb.url.replace(/\/$/u, '')}/mysql`,
    'redis.connection': redis.url,
    'kubesvc.cluster': 'redis',
    'kubesvc.drain.timeoutMs': 5_000,
    'kubesvc.drain.reconnectSpreadMs': 1_000,
    'logging.level': 'warn',
  };
  const replicas = await Promise.all(
    ['gateway-a', 'gateway-b', 'gateway-c'].map((id) => Replica.spawn({ id, settings })),
  );
  for (const replica of replicas) scope.push(replica.id, () => replica.end().then(() => undefined));
  await Promise.all(replicas.map((replica) => replica.ready()));
  for (const { id, restUrl, agentsAddress } of replicas) say(`  ${id}  REST ${restUrl}  agents ${agentsAddress}`);

  const agents = await startSimulatedAgents({
    addresses: replicas.map(({ agentsAddress }) => agentsAddress),
    agents: agentCount,
    accounts: accountsPerAgent,
    latencyMs: 10,
    jitterMs: 5,
  });
  scope.push('agents', () => agents.stop());
  await agents.ready(signal);
  await shareOut(replicas);

  say(
    `\n1. Operations posted to all replicas for all ${String(agents.accounts.length)} accounts, ${String(loadMs / 1_000)} s:`,
  );
  const quiet = await load(replicas, agents.accounts, signal);
  table(quiet);

  const [first, second, victim] = replicas;
  if (first === undefined || second === undefined || victim === undefined) throw new Error('three replicas expected');
  say(`\n2. The same, asking ${first.id} and ${second.id} while ${victim.id} is killed (kill -9) after 3 s:`);
  const executedBefore = agents.stats().executed;
  const running = load([first, second], agents.accounts, signal);
  await pause(3_000, undefined, { signal });
  victim.signal('SIGKILL');
  const killedAt = performance.now();
  say(`   ${victim.id} killed; its agents dial the others ...`);
  await waitFor(() => agents.stats().connected < agentCount, { description: 'the agents to notice' });
  await agents.ready(signal);
  say(
    `   all ${String(agentCount)} agents are connected again after ${((performance.now() - killedAt) / 1_000).toFixed(1)} s`,
  );
  const disturbed = await running;
  table(disturbed);
  say(`   executed by agents: ${String(agents.stats().executed - executedBefore)} (none twice)`);
  await shareOut([first, second]);
  say(
    '\nWhat the agents of the killed replica were working on is finished and recorded; what comes while they dial again',
  );
  say('waits a moment for them. Next: README.md, docs/architecture.md.');
}

async function load(
  replicas: readonly Replica[],
  accounts: readonly string[],
  signal: AbortSignal,
): Promise<LoadReport> {
  return runLoad(
    {
      baseUrls: replicas.map(({ restUrl }) => restUrl),
      accounts,
      durationMs: loadMs,
      concurrency: 32,
      kinds: ['get', 'list', 'scale', 'deploy'],
      payloadBytes: 1_024,
    },
    signal,
  );
}

function table({ sent, outcomes, routes, latencyMs, throughputPerSecond, failures }: LoadReport): void {
  const row = (name: string, value: string) => say(`   ${name.padEnd(22)}${value}`);
  row('operations', `${String(sent)} (${throughputPerSecond.toFixed(0)}/s)`);
  row('  local', String(routes.local));
  row('  forwarded', String(routes.forwarded));
  row('latency p50 / p99', `${latencyMs.p50.toFixed(1)} / ${latencyMs.p99.toFixed(1)} ms`);
  row('completed', String(outcomes.completed));
  row(
    'failures',
    failures.length === 0
      ? '0'
      : failures.map(({ kind, count, example }) => `${String(count)} × ${kind}: ${example}`).join('; '),
  );
}

async function shareOut(replicas: readonly Replica[]): Promise<void> {
  const agents = (await replicas[0]?.get('/armory/agents')) as readonly { readonly clouddriverId: string }[];
  const shares = replicas.map(
    ({ id }) => `${id} ${String(agents.filter(({ clouddriverId }) => clouddriverId === id).length)}`,
  );
  say(`   agents: ${shares.join(', ')}`);
}

const scope = new ReleaseStack();
const stop = new AbortController();
process.once('SIGINT', () => {
  stop.abort(new Error('interrupted'));
});
const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(deadlineMs)]);
let code = 0;
try {
  await demo(scope, signal);
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  code = 1;
} finally {
  await scope.close();
}
process.exit(code);
