/** `npm run demo`: see `usage`. */

import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { aborted } from '../src/core/deadline.js';
import { startMariaDb } from '../test/services/mariadb.js';
import { ensurePackages, mariaDbAndRedis } from '../test/services/packages.js';
import { progress } from '../test/services/progress.js';
import { startRedis } from '../test/services/redis.js';
import { ReleaseStack } from '../src/core/release-stack.js';
import { startSimulatedAgents } from '../src/simulate/agents.js';
import type { LoadReport } from '../src/simulate/load-report.js';
import { runLoad } from '../src/simulate/load.js';
import { waitFor } from '../test/wait.js';
import { Replica } from '../test/cluster/replica.js';

const agentCount = 30;
const accountsPerAgent = 2;
/** A bound for slow machines. */
const deadlineMs = 300_000;
/** After this much of the second load, a replica is killed. */
const killAfterMs = 3_000;

const usage = `Usage: npm run demo [-- [--keep] [--seconds N]]

Starts three replicas as processes of their own on a private MariaDB and Redis, 30 simulated agents, and a load across the
replicas; kills one replica and shows what happens. All of it listens on this machine only, on free ports, and is gone at
the end, after less than two minutes.

MariaDB and Redis come from Debian's packages ${mariaDbAndRedis.join(', ')}. As root, the
demo installs those that are missing, after saying so; no service of this machine is started or enabled.

  --keep        afterwards, keeps replicas and agents up until Ctrl-C, and prints the address of the console
  --seconds N   for how long each of the two loads runs, 5 to 60; default 15
  --help        prints this
`;

const say = (line: string) => process.stdout.write(`${line}\n`);

/** The deadline is for what happens between the installation and the keeping up, which may take any time. */
async function demo(
  scope: ReleaseStack,
  stop: AbortSignal,
  { keep, loadMs }: { readonly keep: boolean; readonly loadMs: number },
): Promise<void> {
  await ensurePackages({ names: mariaDbAndRedis });
  stop.throwIfAborted();
  const signal = AbortSignal.any([stop, AbortSignal.timeout(deadlineMs)]);
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
  await progress('starting the replicas', () => Promise.all(replicas.map((replica) => replica.ready())));
  for (const { id, restUrl, agentsAddress } of replicas) say(`  ${id}  REST ${restUrl}  agents ${agentsAddress}`);

  const agents = await startSimulatedAgents({
    addresses: replicas.map(({ agentsAddress }) => agentsAddress),
    agents: agentCount,
    accounts: accountsPerAgent,
    latencyMs: 10,
    jitterMs: 5,
  });
  scope.push('agents', () => agents.stop());
  await progress('connecting the agents', () => agents.ready(signal));
  await shareOut(replicas);

  say(
    `\n1. Operations posted to all replicas for all ${String(agents.accounts.length)} accounts, ${String(loadMs / 1_000)} s:`,
  );
  const quiet = await load(replicas, agents.accounts, loadMs, signal);
  table(quiet);

  const [first, second, victim] = replicas;
  if (first === undefined || second === undefined || victim === undefined) throw new Error('three replicas expected');
  say(
    `\n2. The same, asking ${first.id} and ${second.id} while ${victim.id} is killed (kill -9) after ${String(killAfterMs / 1_000)} s:`,
  );
  const executedBefore = agents.stats().executed;
  const running = load([first, second], agents.accounts, loadMs, signal);
  await pause(killAfterMs, undefined, { signal });
  victim.signal('SIGKILL');
  const killedAt = performance.now();
  say(`   ${victim.id} killed; its agents dial the others ...`);
  await waitFor(() => agents.stats().connected < agentCount, { description: 'the agents to notice' });
  await progress('connecting the agents again', () => agents.ready(signal));
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
  if (!keep) return;
  say(`\nconsole  ${first.restUrl}/console\nREST     ${first.restUrl}/docs\nCtrl-C ends the demo.`);
  await aborted(stop);
}

async function load(
  replicas: readonly Replica[],
  accounts: readonly string[],
  durationMs: number,
  signal: AbortSignal,
): Promise<LoadReport> {
  const options = {
    baseUrls: replicas.map(({ restUrl }) => restUrl),
    accounts,
    durationMs,
    concurrency: 32,
    kinds: ['get', 'list', 'scale', 'deploy'],
    payloadBytes: 1_024,
  } as const;
  return progress('   posting operations', () => runLoad(options, signal));
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
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(name, () => {
    stop.abort(new Error(`ended by ${name}`));
  });
}
let code = 0;
try {
  const { values } = parseArgs({
    options: { help: { type: 'boolean' }, keep: { type: 'boolean', default: false }, seconds: { type: 'string' } },
  });
  const seconds = Number(values.seconds ?? 15);
  if (!(seconds >= 5 && seconds <= 60)) throw new Error(`--seconds takes 5 to 60, not ${values.seconds ?? ''}`);
  if (values.help === true) process.stdout.write(usage);
  else await demo(scope, stop.signal, { keep: values.keep, loadMs: seconds * 1_000 });
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  code = 1;
} finally {
  await scope.close();
}
process.exit(code);
